#!/usr/bin/python3
"""peer: the same networks as a plain PyTorch program, to be timed beside ours.

    peer.py --mode search|train|eval [--threads N] [--steps K] [--batch B] [--lean] [--unrolled]
            [--arch NAME] [--ops OPS|DARTS_OPS] [--layers L] [--channels C]
            [--device cuda] [--precision fp32|tf32|bf16] [--channels-last] [--compile]
    peer.py --check GOLDEN.h5...

search: an architecture step (first order, Adam) and a weight step (SGD, clipped) of the DARTS supernet with
the layers of sharpDARTS: 16 channels, 8 cells, 4 nodes, DARTS_PRIMITIVES.  With --lean the architecture step
asks for the gradients of the alphas alone, which the published code does not; with --unrolled it is of second order,
as published.  train, eval: the CIFAR network, 36 channels, 20 cells, auxiliary head.
Prints TSV: mode, threads, median seconds a step, 0, peak resident bytes, 0, how many parameters the network has.
--check loads recorded parameters by their names and compares logits, loss and gradients; of recorded steps of the
architecture of second order, the gradients of the alphas and what they are made of."""

import argparse
import copy
import resource
import sys
import time

import torch
import torch.nn as nn
import torch.nn.functional as F

DARTS_PRIMITIVES = ["none", "max_pool_3x3", "avg_pool_3x3", "skip_connect", "sep_conv_3x3", "sep_conv_5x5",
                    "dil_conv_3x3", "dil_conv_5x5"]
GENOTYPES = "genotypes/%s.genotype"


def batch_norm(c, affine, eps=1e-5):
    return nn.BatchNorm2d(c, eps=eps, affine=affine)


def half_separable(c_in, c_out, k, stride, pad, dil, affine):
    """ReLU, depthwise, pointwise, norm"""
    return [nn.ReLU(), nn.Conv2d(c_in, c_in, k, stride, pad, dil, groups=c_in, bias=False),
            nn.Conv2d(c_in, c_out, 1, bias=False), batch_norm(c_out, affine)]


class Stack(nn.Module):
    """layers under the name `op`"""

    def __init__(self, *layers):
        super().__init__()
        self.op = nn.Sequential(*layers)

    def forward(self, x):
        return self.op(x)


def relu_conv_bn(c_in, c_out, affine, k=1, stride=1, pad=0):
    return Stack(nn.ReLU(), nn.Conv2d(c_in, c_out, k, stride, pad, bias=False), batch_norm(c_out, affine))


def sep_conv(c_in, c_out, c_mid, k, stride, dil, affine):
    return Stack(*half_separable(c_in, c_mid, k, stride, dil * (k // 2), dil, affine),
                 *half_separable(c_mid, c_out, k, 1, k // 2, 1, affine))


class FactorizedReduce(nn.Module):
    def __init__(self, c_in, c_out, affine):
        super().__init__()
        self.conv_1 = nn.Conv2d(c_in, c_out // 2, 1, 2, bias=False)
        self.conv_2 = nn.Conv2d(c_in, c_out // 2, 1, 2, bias=False)
        self.bn = batch_norm(c_out, affine)

    def forward(self, x):
        x = F.pad(F.relu(x), (0, 1, 0, 1))
        return self.bn(torch.cat([self.conv_1(x[:, :, :-1, :-1]), self.conv_2(x[:, :, 1:, 1:])], 1))


class Zero(nn.Module):
    def __init__(self, stride):
        super().__init__()
        self.stride = stride

    def forward(self, x):
        return x[:, :, ::self.stride, ::self.stride] * 0


def primitive(name, c, stride, affine, table="OPS", c_mid=None):
    """One layer of the OPS or DARTS_OPS table, c channels to c."""
    sharp = table == "OPS"
    if name == "none":
        return Zero(stride)
    if name == "skip_connect":
        return nn.Identity() if stride == 1 else FactorizedReduce(c, c, affine)
    if name == "max_pool_3x3":
        return nn.MaxPool2d(3, stride, 1)
    if name == "avg_pool_3x3":
        return nn.AvgPool2d(3, stride, 1, count_include_pad=sharp)
    if name == "conv_7x1_1x7":
        return nn.Sequential(nn.ReLU(), nn.Conv2d(c, c, (1, 7), (1, stride), (0, 3), bias=False),
                             nn.Conv2d(c, c, (7, 1), (stride, 1), (3, 0), bias=False),
                             batch_norm(c, affine, 1e-3 if sharp else 1e-5))
    kind, k = name.rsplit("_", 1)
    k = int(k[0])
    if kind == "sep_conv":
        return sep_conv(c, c, c, k, stride, 1, affine)
    if kind == "dil_conv":
        if sharp:
            return sep_conv(c, c, c, k, stride, 2, affine)
        return Stack(*half_separable(c, c, k, stride, 2 * (k // 2), 2, affine))
    if kind in ("flood_conv", "dil_flood_conv") and name != "dil_flood_conv_5x5":
        return sep_conv(c, c, 4 * c, k, stride, 2 if kind.startswith("dil") else 1, affine)
    if kind in ("choke_conv", "dil_choke_conv"):
        return sep_conv(c, c, c_mid or 32, k, stride, 2 if kind.startswith("dil") else 1, affine)
    if kind == "nor_conv":
        return nn.Sequential(nn.Conv2d(c, c, k, stride, k // 2, bias=False), batch_norm(c, affine), nn.ReLU())
    raise SystemExit("peer: no layer for '%s'" % name)


class MixedOp(nn.Module):
    def __init__(self, c, stride, primitives, table, max_w):
        super().__init__()
        self.max_w = max_w
        self._ops = nn.ModuleList()
        for name in primitives:
            op = primitive(name, c, stride, False, table)
            self._ops.append(nn.Sequential(op, batch_norm(c, False)) if "pool" in name else op)

    def forward(self, x, w):
        if self.max_w:
            w = 1 - w.max() + w
        return sum(f * op(x) for f, op in zip(w, self._ops))


class SearchCell(nn.Module):
    def __init__(self, steps, multiplier, c_pp, c_p, c, reduction, reduction_prev, primitives, table, max_w):
        super().__init__()
        self.steps, self.multiplier = steps, multiplier
        before = FactorizedReduce if reduction_prev else relu_conv_bn
        self.preprocess0 = before(c_pp, c, False)
        self.preprocess1 = relu_conv_bn(c_p, c, False)
        self._ops = nn.ModuleList(
            MixedOp(c, 2 if reduction and j < 2 else 1, primitives, table, max_w)
            for i in range(steps) for j in range(2 + i))

    def forward(self, s0, s1, w):
        states, offset = [self.preprocess0(s0), self.preprocess1(s1)], 0
        for _ in range(self.steps):
            states.append(sum(self._ops[offset + j](h, w[offset + j]) for j, h in enumerate(states)))
            offset += len(states) - 1
        return torch.cat(states[-self.multiplier:], 1)


def stem(c):
    return nn.Sequential(nn.Conv2d(3, c, 3, padding=1, bias=False), nn.BatchNorm2d(c))


class Supernet(nn.Module):
    def __init__(self, c=16, classes=10, layers=8, steps=4, multiplier=None, stem_multiplier=3,
                 primitives=DARTS_PRIMITIVES, table="OPS", max_w=False):
        super().__init__()
        multiplier = multiplier or steps
        self.stem = stem(stem_multiplier * c)
        c_pp = c_p = stem_multiplier * c
        self.cells, reduction_prev = nn.ModuleList(), False
        for i in range(layers):
            reduction = i in (layers // 3, 2 * layers // 3)
            c *= 1 + reduction
            self.cells.append(SearchCell(steps, multiplier, c_pp, c_p, c, reduction, reduction_prev,
                                         primitives, table, max_w))
            self.cells[-1].reduction = reduction
            reduction_prev, c_pp, c_p = reduction, c_p, multiplier * c
        self.classifier = nn.Linear(c_p, classes)
        edges = steps * (steps + 3) // 2
        # not parameters of the module: they have an optimiser of their own
        self.alphas = [(1e-3 * torch.randn(edges, len(primitives))).requires_grad_() for _ in range(2)]

    def forward(self, x):
        weights = [F.softmax(a, -1) for a in self.alphas]
        s0 = s1 = self.stem(x)
        for cell in self.cells:
            s0, s1 = s1, cell(s0, s1, weights[cell.reduction])
        return self.classifier(s1.mean((2, 3)))


class Cell(nn.Module):
    def __init__(self, genotype, c_pp, c_p, c, reduction, reduction_prev, table, c_mid):
        super().__init__()
        before = FactorizedReduce if reduction_prev else relu_conv_bn
        self.preprocess0 = before(c_pp, c, True)
        self.preprocess1 = relu_conv_bn(c_p, c, True)
        edges = genotype["reduce" if reduction else "normal"]
        self.concat = list(genotype["reduce_concat" if reduction else "normal_concat"])
        self.inputs = [j for _, j in edges]
        self._ops = nn.ModuleList(primitive(name, c, 2 if reduction and j < 2 else 1, True, table, c_mid)
                                  for name, j in edges)

    def forward(self, s0, s1, drop):
        states = [self.preprocess0(s0), self.preprocess1(s1)]
        for i in range(0, len(self._ops), 2):
            terms = []
            for op, j in list(zip(self._ops, self.inputs))[i:i + 2]:
                h = op(states[j])
                if drop > 0 and not isinstance(op, nn.Identity):
                    keep = torch.full((h.shape[0], 1, 1, 1), 1 - drop, device=h.device, dtype=h.dtype)
                    h = h / (1 - drop) * torch.bernoulli(keep)
                terms.append(h)
            states.append(terms[0] + terms[1])
        return torch.cat([states[i] for i in self.concat], 1)


class Auxiliary(nn.Module):
    def __init__(self, c, classes):
        super().__init__()
        # the first ReLU works in place, as in the published code: it shows in nets of three cells
        self.features = nn.Sequential(
            nn.ReLU(inplace=True), nn.AvgPool2d(5, 3, count_include_pad=False),
            nn.Conv2d(c, 128, 1, bias=False), nn.BatchNorm2d(128), nn.ReLU(),
            nn.Conv2d(128, 768, 2, bias=False), nn.BatchNorm2d(768), nn.ReLU())
        self.classifier = nn.Linear(768, classes)

    def forward(self, x):
        return self.classifier(self.features(x).flatten(1))


class Network(nn.Module):
    def __init__(self, genotype, c=36, classes=10, layers=20, auxiliary=True, table="OPS", c_mid=32):
        super().__init__()
        self.stem = stem(3 * c)
        c_pp = c_p = 3 * c
        self.cells, reduction_prev, self.aux_at = nn.ModuleList(), False, 2 * layers // 3
        for i in range(layers):
            reduction = i in (layers // 3, 2 * layers // 3)
            c *= 1 + reduction
            self.cells.append(Cell(genotype, c_pp, c_p, c, reduction, reduction_prev, table, c_mid))
            reduction_prev, c_pp, c_p = reduction, c_p, len(self.cells[-1].concat) * c
            if i == self.aux_at and auxiliary:
                self.auxiliary_head = Auxiliary(c_p, classes)
        self.auxiliary = auxiliary
        self.classifier = nn.Linear(c_p, classes)

    def forward(self, x, drop=0.0):
        s0 = s1 = self.stem(x)
        aux = None
        for i, cell in enumerate(self.cells):
            s0, s1 = s1, cell(s0, s1, drop if self.training else 0)
            if i == self.aux_at and self.auxiliary and self.training:
                aux = self.auxiliary_head(s1)
        return self.classifier(s1.mean((2, 3))), aux


def parse_genotype(text):
    text = "".join(line for line in text.splitlines() if not line.startswith("#"))
    return eval(text[text.index("Genotype("):], {"__builtins__": {}}, {"Genotype": dict, "range": range})


def alpha_gradients(net, x, target):
    return torch.autograd.grad(F.cross_entropy(net(x), target), net.alphas)


def unrolled_gradients(net, train, valid, eta, momentum, buffers, decay):
    """The gradients of the alphas of second order (Liu and others, "DARTS", 2019, equations 7 and 8), as the published
    code computes them.  buffers: those of momentum, by parameter.  Returns them, and the two terms."""
    params = list(net.parameters())
    grads = torch.autograd.grad(F.cross_entropy(net(train[0]), train[1]), params)
    ahead = copy.deepcopy(net)
    ahead.alphas = [a.detach().clone().requires_grad_() for a in net.alphas]
    with torch.no_grad():
        for to, p, g in zip(ahead.parameters(), params, grads):
            to.copy_(p - eta * (momentum * buffers.get(p, 0) + g + decay * p))
    F.cross_entropy(ahead(valid[0]), valid[1]).backward()
    vector = [p.grad for p in ahead.parameters()]
    r = 0.01 / torch.cat([v.reshape(-1) for v in vector]).norm()

    def beside(factor):
        with torch.no_grad():
            for p, v in zip(params, vector):
                p.add_(v, alpha=float(factor))

    beside(r)
    plus = alpha_gradients(net, *train)
    beside(-2 * r)
    minus = alpha_gradients(net, *train)
    beside(r)
    first = [a.grad for a in ahead.alphas]
    implicit = [(p - m) / (2 * r) for p, m in zip(plus, minus)]
    return [f - eta * i for f, i in zip(first, implicit)], first, implicit


def check_unrolled(net, file, a):
    net.double().train()
    net.alphas = [a.detach().double().requires_grad_() for a in net.alphas]
    buffers = {p: torch.tensor(file["momentum_buffer/" + k][...]).double() for k, p in net.named_parameters()}
    train, valid = ((torch.tensor(file["x_" + k][...]).double(), torch.tensor(file["target_" + k][...]))
                    for k in ("train", "valid"))
    got = unrolled_gradients(net, train, valid, a["eta"], a["momentum"], buffers, a["weight_decay"])
    return {"%s/%s" % (name, k): g for name, gs in zip(("grads_alphas", "unrolled_grads_alphas",
            "implicit_grads_alphas"), got) for k, g in zip(("normal", "reduce"), gs)}


def compare(path, file, results):
    import numpy
    bad = 0
    for name, got in results.items():
        want = file[name][...]
        err = numpy.abs(got.detach().numpy() - want).max() / numpy.abs(want).max()
        bad += not err < 1e-3
        print("%s\t%s\t%s\t%.2e" % ("ok" if err < 1e-3 else "FAILED", path.split("/")[-1], name, err))
    return bad


def check(path):
    import h5py
    import json
    file = h5py.File(path)
    a = {k: (v.item() if hasattr(v, "item") else v) for k, v in file.attrs.items()}
    if "genotype_str" in a:
        c_mid = None if a.get("C_mid") == "None" else a.get("C_mid", 32)
        net = Network(parse_genotype(a["genotype_str"]), a["C"], a["num_classes"], a["layers"],
                      bool(a["auxiliary"]), a["op_dict"], c_mid or 32)
    else:
        net = Supernet(a["C"], a["num_classes"], a["layers"], a["steps"], a["multiplier"],
                       a["stem_multiplier"], json.loads(a["primitives_list"]), a["op_dict"],
                       a["weighting_algorithm"] == "max_w")
        net.alphas = [torch.tensor(file["alphas_" + k][...]).requires_grad_() for k in ("normal", "reduce")]
    state = {k: torch.tensor(v[...]) for g in ("params", "buffers") for k, v in file[g].items()}
    missing, unexpected = net.load_state_dict(state, strict=False)
    missing = [k for k in missing if not k.endswith("num_batches_tracked")]
    if missing or unexpected:
        raise SystemExit("peer: %s: other names: %s %s" % (path, missing[:3], unexpected[:3]))
    if "vector_norm" in file:
        return compare(path, file, check_unrolled(net, file, a))
    x, target = torch.tensor(file["x"][...]), torch.tensor(file["target"][...])
    if x.dim() == 5:
        x, target = x[0], target[0]
    net.eval()
    with torch.no_grad():
        out = net(x)
        out = out if isinstance(out, torch.Tensor) else out[0]
    results = {"logits_eval": out}
    net.load_state_dict(state, strict=False)
    net.train()
    out = net(x)
    logits, aux = out if isinstance(out, tuple) else (out, None)
    loss = F.cross_entropy(logits, target)
    if aux is not None:
        loss = loss + a["auxiliary_weight"] * F.cross_entropy(aux, target)
    loss.backward()
    results.update({"logits": logits, "loss": loss})
    if aux is not None:
        results["logits_aux"] = aux
    if isinstance(net, Supernet):
        results.update({"grads_alphas/" + k: v.grad for k, v in zip(("normal", "reduce"), net.alphas)})
    return compare(path, file, results)


def bench(o):
    torch.manual_seed(1)
    torch.set_num_threads(o.threads)
    if o.precision == "tf32":
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    else:
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    if o.mode == "search":
        net = Supernet(o.channels or 16, layers=o.layers or 8, table=o.ops)
    else:
        net = Network(parse_genotype(open(GENOTYPES % o.arch).read()), o.channels or 36, layers=o.layers or 20,
                      table=o.ops)
    net.to(o.device)
    x = torch.randn(o.batch, 3, 32, 32, device=o.device)
    if o.channels_last:
        net.to(memory_format=torch.channels_last)
        x = x.contiguous(memory_format=torch.channels_last)
    target = torch.randint(10, (o.batch,), device=o.device)
    sgd = torch.optim.SGD(net.parameters(), 0.025, 0.9, weight_decay=3e-4)
    if o.mode == "search":
        net.alphas = [a.detach().to(o.device).requires_grad_() for a in net.alphas]
        adam = torch.optim.Adam(net.alphas, 3e-4, (0.5, 0.999), weight_decay=1e-3)
    model = torch.compile(net) if o.compile else net
    net.train(o.mode != "eval")

    def forward(*args):
        with torch.autocast(o.device.split(":")[0], torch.bfloat16, enabled=o.precision == "bf16"):
            out = model(x, *args)
            logits, aux = out if isinstance(out, tuple) else (out, None)
            loss = F.cross_entropy(logits, target)
            return loss if aux is None else loss + 0.4 * F.cross_entropy(aux, target)

    def weight_step(*args):
        sgd.zero_grad(set_to_none=True)
        forward(*args).backward()
        nn.utils.clip_grad_norm_(net.parameters(), 5)
        sgd.step()

    def step():
        if o.mode == "eval":
            with torch.no_grad():
                forward()
        elif o.mode == "train":
            weight_step(0.2)
        else:
            if o.unrolled:
                buffers = {p: sgd.state[p]["momentum_buffer"] for p in sgd.state}
                grads = unrolled_gradients(net, (x, target), (x, target), 0.025, 0.9, buffers, 3e-4)[0]
                for a, g in zip(net.alphas, grads):
                    a.grad = g
            elif o.lean:
                for a, g in zip(net.alphas, torch.autograd.grad(forward(), net.alphas)):
                    a.grad = g
            else:
                adam.zero_grad(set_to_none=True)
                forward().backward()
            adam.step()
            weight_step()

    def sync():
        if o.device.startswith("cuda"):
            torch.cuda.synchronize()

    seconds = []
    for _ in range(o.steps + 1):  # the first warms up
        sync()
        start = time.monotonic()
        step()
        sync()
        seconds.append(time.monotonic() - start)
    seconds = sorted(seconds[1:])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    if o.device.startswith("cuda"):
        peak = torch.cuda.max_memory_allocated()
    print("%s\t%d\t%.6f\t0\t%d\t0\t%d" % (o.mode, o.threads, seconds[len(seconds) // 2], peak,
                                         sum(p.numel() for p in net.parameters())))


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--mode", choices=["search", "train", "eval"], default="search")
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--steps", type=int, default=3)
    p.add_argument("--batch", type=int, default=64)
    p.add_argument("--arch", default="SHARPSEPCONV_DARTS")
    p.add_argument("--layers", type=int)
    p.add_argument("--channels", type=int)
    p.add_argument("--lean", action="store_true")
    p.add_argument("--unrolled", action="store_true")
    p.add_argument("--ops", choices=["OPS", "DARTS_OPS"], default="OPS")
    p.add_argument("--device", default="cpu")
    p.add_argument("--precision", choices=["fp32", "tf32", "bf16"], default="fp32")
    p.add_argument("--channels-last", action="store_true")
    p.add_argument("--compile", action="store_true")
    p.add_argument("--check", nargs="+", metavar="FILE.h5")
    o = p.parse_args()
    if o.check:
        sys.exit(any([check(path) for path in o.check]))
    bench(o)


if __name__ == "__main__":
    main()
