#!/usr/bin/env python3
"""rawdata.py SET FOLDER: makes a small data set in the form in which SET is distributed, and beside it
FOLDER.npz with what is in it: train and test (N, C, H, W), train_labels and test_labels.  Needs NumPy."""
import gzip, os, pickle, struct, sys, zlib
import numpy as np

what, folder = sys.argv[1:3]
rng = np.random.default_rng(7)
os.makedirs(folder, exist_ok=True)
CIFAR10 = "airplane automobile bird cat deer dog frog horse ship truck".split()


def images(n, c, side):
    return rng.integers(0, 256, (n, c, side, side), dtype=np.uint8)


def labels(n, classes):
    return (np.arange(n) * 7 % classes).astype(np.uint8)


def put(name, data):
    with open(os.path.join(folder, name), "wb") as f:
        f.write(data)


def idx(a):
    return struct.pack(">HBB", 0, 8, a.ndim) + struct.pack(f">{a.ndim}I", *a.shape) + a.tobytes()


# Python 2 wrote the original files in protocol 2, which has 8-bit texts, and the names in protocol 0.
def text(s):
    b = s.encode()
    return b"U" + bytes([len(b)]) + b


def number(i):
    return b"K" + bytes([i]) if i < 256 else b"M" + struct.pack("<H", i)


def pickle2(items):
    out = b"\x80\x02}q\x01("
    memo = 2
    for key, value in items.items():
        out += text(key) + b"q" + bytes([memo])
        memo += 1
        if isinstance(value, np.ndarray):
            out += (b"cnumpy.core.multiarray\n_reconstruct\nq\x20cnumpy\nndarray\nq\x21K\x00\x85"
                    + b"U\x01b\x87Rq\x22(K\x01"
                    + b"".join(map(number, value.shape)) + b"\x86cnumpy\ndtype\nq\x23U\x02u1"
                    + b"K\x00K\x01\x87Rq\x24(K\x03"
                    + b"U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89T"
                    + struct.pack("<I", value.size)
                    + value.tobytes() + b"tb")
        elif isinstance(value, list):
            out += b"]q\x30(" + b"".join(text(v) if isinstance(v, str) else number(v) for v in value) + b"e"
        else:
            out += text(value)
    return out + b"u."


def pickle0(key, names):
    out = b"(dp1\nS'num_cases_per_batch'\np2\nI10000\nsS'" + key.encode() + b"'\np3\n(lp4\n"
    for i, n in enumerate(names):
        out += b"S'" + n.encode() + b"'\np" + str(5 + i).encode() + b"\na"
    return out + b"s."


# MATLAB level 5: one compressed variable after another.
def element(kind, data):
    return struct.pack("<II", kind, len(data)) + data + b"\0" * (-len(data) % 8)


def mat(**variables):
    out = b"MATLAB 5.0 MAT-file, made for a test".ljust(124) + struct.pack("<H", 0x0100) + b"IM"
    for name, a in variables.items():
        body = (element(6, struct.pack("<II", 9, 0)) + element(5, struct.pack(f"<{a.ndim}i", *a.shape))
                + struct.pack("<I", 1 | len(name) << 16) + name.encode().ljust(4, b"\0")
                + element(2, a.tobytes(order="F")))
        body = zlib.compress(element(14, body))
        out += struct.pack("<II", 15, len(body)) + body
    return out


if what in ("cifar10", "cifar10-python", "cifar10-python3"):
    x, y, tx, ty = images(20, 3, 32), labels(20, 10), images(4, 3, 32), labels(4, 10)
    for i in range(6):
        bx, by = (x[4 * i:4 * i + 4], y[4 * i:4 * i + 4]) if i < 5 else (tx, ty)
        name = f"data_batch_{i + 1}" if i < 5 else "test_batch"
        rows = bx.reshape(4, -1)
        if what == "cifar10":
            put(name + ".bin", b"".join(bytes([l]) + r.tobytes() for l, r in zip(by, rows)))
        elif what == "cifar10-python":
            put(name, pickle2({"batch_label": name, "labels": by.tolist(), "data": rows,
                               "filenames": [f"{k}.png" for k in range(4)]}))
        else:
            put(name, pickle.dumps({"data": rows, "labels": by.tolist()}, protocol=4))
    if what == "cifar10":
        put("batches.meta.txt", "\n".join(CIFAR10 + [""]).encode())
    elif what == "cifar10-python":
        put("batches.meta", pickle0("label_names", CIFAR10))
elif what in ("cifar100", "cifar100-python"):
    x, y, tx, ty = images(30, 3, 32), labels(30, 100), images(5, 3, 32), labels(5, 100)
    names = [f"thing {i}" for i in range(100)]
    for name, bx, by in ("train", x, y), ("test", tx, ty):
        if what == "cifar100":
            put(name + ".bin", b"".join(bytes([l // 5, l]) + r.tobytes() for l, r in zip(by, bx)))
        else:
            put(name, pickle2({"data": bx.reshape(len(by), -1), "coarse_labels": (by // 5).tolist(),
                               "fine_labels": by.tolist()}))
    if what == "cifar100":
        put("fine_label_names.txt", "\n".join(names + [""]).encode())
    else:
        put("meta", pickle2({"fine_label_names": names}))
elif what in ("cifar10.1", "cifar10.1-v4"):
    x, y, tx, ty = images(0, 3, 32), labels(0, 10), images(12, 3, 32), labels(12, 10)
    version = "v4" if what.endswith("v4") else "v6"
    np.save(f"{folder}/cifar10.1_{version}_data.npy", np.ascontiguousarray(tx.transpose(0, 2, 3, 1)))
    np.save(f"{folder}/cifar10.1_{version}_labels.npy", ty.astype(np.int32))
elif what in ("mnist", "fashion", "emnist"):
    classes = 47 if what == "emnist" else 10
    x, y, tx, ty = images(50, 1, 28), labels(50, classes), images(20, 1, 28), labels(20, classes)
    pre = ("emnist-balanced-train", "emnist-balanced-test") if what == "emnist" else ("train", "t10k")
    for p, bx, by in (pre[0], x, y), (pre[1], tx, ty):
        put(p + "-images-idx3-ubyte.gz", gzip.compress(idx(bx[:, 0])))
        put(p + "-labels-idx1-ubyte.gz", gzip.compress(idx(by)))
elif what == "svhn":
    x, y, tx, ty = images(15, 3, 32), labels(15, 10), images(6, 3, 32), labels(6, 10)
    for name, bx, by in ("train", x, y), ("test", tx, ty):
        ten = np.where(by == 0, 10, by).astype(np.uint8)
        put(name + "_32x32.mat", mat(X=bx.transpose(2, 3, 1, 0), y=ten[:, None]))
elif what == "stl10":
    x, y, tx, ty = images(12, 3, 96), labels(12, 10), images(5, 3, 96), labels(5, 10)
    for name, bx, by in ("train", x, y), ("test", tx, ty):
        put(name + "_X.bin", bx.transpose(0, 1, 3, 2).tobytes())
        put(name + "_y.bin", (by + 1).tobytes())
    put("unlabeled_X.bin", bytes(3 * 96 * 96))
else:
    sys.exit(f"rawdata.py: no set '{what}'")
np.savez(folder + ".npz", train=x, train_labels=y, test=tx, test_labels=ty)
