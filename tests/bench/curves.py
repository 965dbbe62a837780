#!/usr/bin/python3
"""curves: the training that sd-train does, by the plain PyTorch program of peer.py, on the same data set.

    curves.py --data D.h5 --rates M.h5 [--arch NAME] [--seed N] [--init_channels N] [--layers N] ...
    curves.py --history M.h5

Prints a line for each epoch: epoch, train_loss, train_top1, valid_loss, valid_top1, seconds, with tabs
between; --history does it for a model of sd-train, whose seconds are 0.  The learning rates are those in
the history of M.h5, a model of sd-train.  Everything else is written again here: PyTorch's initial values
and random numbers, crop and mirror, cutout, drop path, auxiliary head, clipped SGD."""

import argparse
import time

import h5py
import numpy
import torch
import torch.nn as nn
import torch.nn.functional as F

import peer


def normalised(file, split):
    x = torch.from_numpy(file[split + "/images"][...]).float().div_(255)
    mean, std = (torch.from_numpy(file["normalize/" + k][...]) for k in ("mean", "std"))
    return x.sub_(mean.view(1, -1, 1, 1)).div_(std.view(1, -1, 1, 1))


def augment(x, black, rng, pad, cutout):
    """A batch cropped and mirrored, with a hole in each image; `black` is what the padding is."""
    n, c, h, w = x.shape
    wide = black.view(1, c, 1, 1).repeat(n, 1, h + 2 * pad, w + 2 * pad)
    wide[:, :, pad:pad + h, pad:pad + w] = x
    out = torch.empty_like(x)
    for i in range(n):
        top, left = rng.integers(0, 2 * pad + 1, 2)
        one = wide[i, :, top:top + h, left:left + w]
        out[i] = one.flip(2) if rng.random() < 0.5 else one
        if cutout:
            y, z, half = rng.integers(h), rng.integers(w), cutout // 2
            out[i, :, max(y - half, 0):y + half, max(z - half, 0):z + half] = 0
    return out


def epoch_of_training(net, sgd, x, labels, black, rng, o, drop):
    loss_sum = hits = 0
    net.train()
    for at in numpy.array_split(rng.permutation(len(x)), range(o.batch_size, len(x), o.batch_size)):
        at = torch.from_numpy(at)
        logits, aux = net(augment(x[at], black, rng, o.padding, o.cutout_length), drop)
        loss = F.cross_entropy(logits, labels[at])
        if aux is not None:
            loss = loss + 0.4 * F.cross_entropy(aux, labels[at])
        sgd.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 5)
        sgd.step()
        loss_sum += loss.item() * len(at)
        hits += (logits.argmax(1) == labels[at]).sum().item()
    return loss_sum / len(x), 100 * hits / len(x)


def evaluate(net, x, labels, batch):
    loss = hits = 0
    net.eval()
    with torch.no_grad():
        for i in range(0, len(x), batch):
            logits, _ = net(x[i:i + batch])
            loss += F.cross_entropy(logits, labels[i:i + batch], reduction="sum").item()
            hits += (logits.argmax(1) == labels[i:i + batch]).sum().item()
    return loss / len(x), 100 * hits / len(x)


def history(path):
    columns = "train_loss", "train_top1", "valid_loss", "valid_top1"
    with h5py.File(path, "r") as file:
        rows = zip(*(file["history/" + c][...] for c in columns))
        for epoch, row in enumerate(rows, 1):
            print("%d\t%.4f\t%.2f\t%.4f\t%.2f\t0" % (epoch, *row))


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--history")
    p.add_argument("--data")
    p.add_argument("--rates")
    p.add_argument("--arch", default="DARTS_V2")
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--init_channels", type=int, default=16)
    p.add_argument("--layers", type=int, default=8)
    p.add_argument("--batch_size", type=int, default=64)
    p.add_argument("--padding", type=int, default=4)
    p.add_argument("--cutout_length", type=int, default=16)
    p.add_argument("--drop_path_prob", type=float, default=0.2)
    o = p.parse_args()
    if o.history:
        return history(o.history)
    torch.manual_seed(o.seed)
    torch.set_num_threads(o.threads)
    rng = numpy.random.default_rng(o.seed)
    rates = h5py.File(o.rates, "r")["history/lr"][...]
    file = h5py.File(o.data, "r")
    x, test_x = normalised(file, "train"), normalised(file, "test")
    labels, test_labels = (torch.from_numpy(file[s + "/labels"][...]).long() for s in ("train", "test"))
    mean, std = (torch.from_numpy(file["normalize/" + k][...]) for k in ("mean", "std"))
    genotype = peer.parse_genotype(open(peer.GENOTYPES % o.arch).read())
    net = peer.Network(genotype, o.init_channels, 10, o.layers)
    sgd = torch.optim.SGD(net.parameters(), 1, 0.9, weight_decay=3e-4)
    for epoch, rate in enumerate(rates, 1):
        began = time.monotonic()
        for group in sgd.param_groups:
            group["lr"] = float(rate)
        drop = o.drop_path_prob * epoch / len(rates)
        train = epoch_of_training(net, sgd, x, labels, -mean / std, rng, o, drop)
        valid = evaluate(net, test_x, test_labels, 500)
        seconds = time.monotonic() - began
        print("%d\t%.4f\t%.2f\t%.4f\t%.2f\t%.1f" % (epoch, *train, *valid, seconds), flush=True)


if __name__ == "__main__":
    main()
