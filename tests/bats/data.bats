#!/usr/bin/env bats
# sd-prep's further data sets, pictures, bad files, contact sheets, and networks of other sizes.

load setup

# needs MODULE: skips where Python lacks it.
needs() {
	/usr/bin/python3 -c "import $1" 2> /dev/null || skip "no Python with $1"
}

# raw SET: makes the folder SET, and SET.npz with what is in it.
raw() {
	/usr/bin/python3 "$BATS_TEST_DIRNAME/rawdata.py" "$1" "$1"
}

# same ARTIFACT NPZ: images and labels are those.
same() {
	/usr/bin/python3 - "$@" <<-'EOF'
	import h5py, numpy as np, sys
	f, g = h5py.File(sys.argv[1]), np.load(sys.argv[2])
	for k in "train", "test":
	    assert np.array_equal(f[k + "/images"][:], g[k]), k
	    assert np.array_equal(f[k + "/labels"][:], g[k + "_labels"]), k
	EOF
}

# refused TEXT DATASET PATH [OPTION...]: exit 65 and a message that says TEXT, and nothing is left behind.
refused() {
	local text=$1
	shift
	mkdir -p empty_folder
	run sd-prep "$@" -o empty_folder/out.h5
	assert_equal "$status" 65
	assert_output --partial "$text"
	assert_equal "$(ls -A empty_folder)" ""
}

# pictures: the folder set, 18 pictures of many kinds and sizes in 3 classes.
pictures() {
	/usr/bin/python3 - <<-'EOF'
	import os, numpy as np
	from PIL import Image
	rng = np.random.default_rng(3)
	for split in "train", "Test":
	    for c, name in enumerate(("b cat", "a dog", "c")):
	        os.makedirs(f"set/{split}/{name}", exist_ok=True)
	        for i in range(3):
	            a = rng.integers(0, 256, (40 + 7 * i, 50 - 6 * c, 3), dtype=np.uint8)
	            im = Image.fromarray(a).resize((90 - 6 * c, 70 + 7 * i), Image.BICUBIC)
	            im = im.convert(("RGB", "L", "RGBA", "P", "CMYK", "1", "RGB", "RGB", "RGB")[3 * c + i])
	            end = "jpg" if im.mode in ("CMYK", "L") or c == 2 else "png"
	            options = {"progressive": True} if i == 1 and end == "jpg" else {}
	            im.save(f"set/{split}/{name}/{i}.{end}", **options)
	open("set/readme.txt", "w").write("none of these\n")
	EOF
}

@test "--list tells the files and their digests" {
	sd-prep --list > list
	for set in cifar10 cifar10.1 cifar10.1-v4 cifar100 mnist fashion emnist svhn stl10 devanagari \
		images digits; do
		grep -q "^$set	" list
	done
	digest=c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd
	grep -q "^cifar10	cifar-10-binary.tar.gz	$digest	" list
	awk -F'\t' 'NF != 4 || $3 !~ /^(-|[0-9a-f]+)$/ || ($3 != "-" && length($3) != 64) { exit 1 }' list
}

@test "every set gives the images and labels that are in its files, from a folder and an archive" {
	needs h5py
	for set in cifar10 cifar10-python cifar10-python3 cifar100 cifar100-python cifar10.1 cifar10.1-v4 \
		mnist fashion emnist svhn stl10; do
		raw $set
		name=${set%-python*}
		sd-prep $name $set -o $set.h5 -q
		same $set.h5 $set.npz || { echo $set; false; }
		tar -czf $set.tgz $set
		sd-prep $name $set.tgz -o again.h5 -q --force
		assert_equal "$(payload again.h5)" "$(payload $set.h5)"
	done
	assert_equal "$(payload cifar10-python.h5)" "$(payload cifar10.h5)"
	assert_equal "$(payload cifar10-python3.h5)" "$(payload cifar10.h5)"
	assert_equal "$(payload cifar100-python.h5)" "$(payload cifar100.h5)"
	sd-prep info svhn.h5 > info
	grep -q '^mean	0.4376821	0.4437697	0.47280443$' info
	sd-prep info mnist.h5 > info
	grep -q '^mean	0.1307$' info
	grep -q '^padding	4$' info
	sd-prep info stl10.h5 > info
	grep -q '^class	7	monkey	' info
	gunzip mnist/*.gz
	sd-prep mnist mnist -o again.h5 -q --force
	assert_equal "$(payload again.h5)" "$(payload mnist.h5)"
}

@test "a known file with another digest is a warning that the manifest keeps" {
	needs numpy
	raw cifar10
	tar -czf cifar-10-binary.tar.gz cifar10
	run sd-prep cifar10 cifar-10-binary.tar.gz -o a.h5
	assert_success
	assert_output --partial 'warning: cifar-10-binary.tar.gz has SHA-256'
	assert_output --partial 'c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd'
	manifest a.h5 | grep -A1 '"warnings"' | grep -q 'cifar-10-binary.tar.gz has SHA-256'
	mv cifar-10-binary.tar.gz other.tar.gz
	run sd-prep cifar10 other.tar.gz -o b.h5
	refute_output --partial warning
	assert_equal "$(artifact_id a.h5)" "$(artifact_id b.h5)"
}

@test "pictures: the pixels are Pillow's, grey and resized, from a folder and an archive" {
	needs PIL
	needs h5py
	pictures
	refused '(--size makes them one size)' images set
	sd-prep images set --size 32 -o a.h5 -q
	sd-prep images set --size 32 --grey -o g.h5 -q
	/usr/bin/python3 - <<-'EOF'
	import glob, h5py, numpy as np
	from PIL import Image
	a, g = h5py.File("a.h5"), h5py.File("g.h5")
	assert list(a["classes"][:]) == [b"a dog", b"b cat", b"c"]
	for split, folder in ("train", "train"), ("test", "Test"):
	    files = sorted(glob.glob(f"set/{folder}/*/*"))
	    assert len(files) == len(a[split + "/labels"]) == 9
	    for i, name in enumerate(files):
	        im = Image.open(name).convert("RGB")
	        w, h = im.size
	        w, h = (32, 32 * h // w) if w < h else (32 * w // h, 32)
	        im = im.resize((w, h), Image.BILINEAR)
	        x, y = round((w - 32) / 2), round((h - 32) / 2)
	        im = im.crop((x, y, x + 32, y + 32))
	        assert np.array_equal(a[split + "/images"][i], np.asarray(im).transpose(2, 0, 1)), name
	        assert np.array_equal(g[split + "/images"][i, 0], np.asarray(im.convert("L"))), name
	        assert a["classes"][a[split + "/labels"][i]].decode() == name.split("/")[2]
	EOF
	(cd set && tar -cf ../x.tar readme.txt Test train/c "train/b cat" "train/a dog")
	sd-prep images x.tar --size 32 -o b.h5 -q
	assert_equal "$(payload b.h5)" "$(payload a.h5)"
	manifest a.h5 | grep -q '"libjpeg": "libjpeg'
	rm set/*/*/*.jpg
	sd-prep images set --size 32 --name flowers -q
	run manifest flowers.h5
	refute_output --partial '"libjpeg"'
	sd-prep info flowers.h5 | grep -q '^name	flowers$'
}

@test "pictures without folders train and test are divided" {
	needs PIL
	pictures
	mkdir flat
	mv set/train/* flat
	sd-prep images flat --size 24 -o a.h5 -q
	sd-prep info a.h5 > info
	grep -q '^train	7$' info
	grep -q '^test	2$' info
	mkdir set/train/d
	cp flat/c/0.jpg set/train/d
	refused "class 'a dog' has test images and no training images" images set --size 24
	mv flat/c set/valid
	refused 'no picture' images empty_folder
}

@test "many files count as the lines of sha256sum" {
	needs PIL
	/usr/bin/python3 - <<-'EOF'
	import os
	from PIL import Image
	for i in range(70):
	    os.makedirs(f"set/deep/train/{i % 2}", exist_ok=True)
	    Image.new("L", (8, 8), i).save(f"set/deep/train/{i % 2}/{i}.png")
	EOF
	sd-prep images set -o a.h5 -q
	want=$(cd set/deep/train && find * -type f | sort | xargs sha256sum | sha256sum | cut -d ' ' -f 1)
	manifest a.h5 | grep -q "\"sha256\": \"$want\""
}

@test "cifar10 as pictures is cifar10" {
	local data=$ROOT/../shared/data/cifar10-images.tar.xz
	[ -e "$data" ] || skip "no ../shared/data"
	sd-prep cifar10 "$data" -o a.h5 -q --limit-train 100 --limit-test 100
	sd-prep info a.h5 > info
	grep -q '^class	6	frog	' info
	grep -q '^mean	0.49139968	0.48215827	0.44653124$' info
}

@test "truncated files of every set name the file and what is wrong" {
	needs numpy
	local set f name size
	for set in cifar10 cifar10-python cifar100 cifar100-python cifar10.1 mnist emnist svhn stl10; do
		raw $set
		name=${set%-python*}
		for f in $set/*; do
			case $f in *unlabeled* | *meta* | *names*) continue ;; esac
			size=$(stat -c %s "$f")
			cp "$f" whole
			for cut in 3 $((size / 2 + 1)) $((size - 1)); do
				head -c "$cut" whole > "$f"
				refused "${f##*/}" "$name" "$set"
			done
			: > "$f"
			refused "${f##*/}: " "$name" "$set"
			head -c 3000 /dev/zero | tr '\0' 'x' > "$f"
			refused "${f##*/}" "$name" "$set"
			rm "$f"
			refused "there is no $(basename "$f" .gz)" "$name" "$set"
			mv whole "$f"
		done
		sd-prep "$name" "$set" -o empty_folder/ok.h5 -q && rm empty_folder/ok.h5
	done
}

# bad_archives DATASET FOLDER FILE: archives of FOLDER that are refused: cut short, with a name that leads outside,
# with a file that unpacks to 1 TiB, with FILE of another kind.
bad_archives() {
	local dataset=$1 folder=$2
	/usr/bin/python3 - "$folder" <<-'EOF'
	import gzip, io, os, sys, tarfile
	folder = sys.argv[1]
	files = sorted(os.path.join(d, f) for d, _, names in os.walk(folder) for f in names)
	whole = io.BytesIO()
	with tarfile.open(fileobj=whole, mode="w:gz") as t:
	    for f in files:
	        t.add(f)
	open("cut.tar.gz", "wb").write(whole.getvalue()[:len(whole.getvalue()) // 2])
	for n, name in enumerate(("../" + files[0], "/" + files[0], folder + "/../../x")):
	    with tarfile.open(f"out{n}.tar", "w") as t:
	        for f in files:
	            info = t.gettarinfo(f)
	            info.name = name if f == files[0] else f
	            t.addfile(info, open(f, "rb"))
	# more than any limit, in next to nothing
	info = tarfile.TarInfo(files[0])
	info.size = 1 << 40
	with open("bomb.tar.gz", "wb") as b:
	    b.write(gzip.compress(info.tobuf(tarfile.GNU_FORMAT)))
	    piece = gzip.compress(bytes(1 << 20))
	    for i in range(64):
	        b.write(piece)
	EOF
	refused 'cut.tar.gz' "$dataset" cut.tar.gz
	for n in 0 1 2; do
		refused 'unsafe name' "$dataset" out$n.tar
	done
	refused 'bytes or more, at most' "$dataset" bomb.tar.gz
	mv "$folder/$3" $folder/kept
	head -c 4000 /dev/zero | tr '\0' 'x' > "$folder/$3"
	tar -czf magic.tar.gz --exclude=kept "$folder"
	refused "$(basename "$3")" "$dataset" magic.tar.gz
	mv $folder/kept "$folder/$3"
}

@test "archives of every set: cut short, leading outside, bombs, files of another kind" {
	needs numpy
	needs PIL
	local set
	for set in cifar10 cifar10-python cifar10-python3 cifar100 cifar100-python cifar10.1 cifar10.1-v4 \
		mnist fashion emnist svhn stl10; do
		raw $set
		bad_archives ${set%-python*} $set "$(cd $set && ls | grep -v 'meta\|names\|unlabeled' | head -n 1)"
		rm -r $set
	done
	/usr/bin/python3 - <<-'EOF'
	import os
	from PIL import Image
	for split in "train", "test":
	    for c in "airplane automobile bird cat deer dog frog horse ship truck".split():
	        os.makedirs(f"pictures/{split}/{c}")
	        Image.new("RGB", (32, 32), (200, 10, 90)).save(f"pictures/{split}/{c}/1.png")
	EOF
	for set in cifar10 devanagari images; do
		bad_archives $set pictures train/bird/1.png
	done
	mkdir digits
	gunzip < "$DIGITS" > digits/digits.csv
	bad_archives digits digits digits.csv
}

@test "sizes in headers that are absurd, or don't fit" {
	needs numpy
	raw mnist
	gunzip mnist/*.gz
	printf '\0\0\010\3\377\377\377\377\377\377\377\377\377\377\377\377' > mnist/train-images-idx3-ubyte
	refused 'train-images-idx3-ubyte: the sizes in the header are absurd' mnist mnist
	printf '\0\0\010\3\0\0\0\1\0\0\0\35\0\0\0\34' > mnist/train-images-idx3-ubyte
	head -c 812 /dev/zero >> mnist/train-images-idx3-ubyte
	refused 'an array of 1 x 29 x 28, N x 28 x 28 is expected' mnist mnist
	printf '\0\0\015\3' > mnist/train-images-idx3-ubyte
	refused 'IDX type 0x0d' mnist mnist
	raw cifar10.1
	sed -i 's/(12, 32, 32, 3), /(9999999999, 3, 9999999999), /' cifar10.1/cifar10.1_v6_data.npy
	refused 'cifar10.1_v6_data.npy' cifar10.1 cifar10.1
}

@test "a pickle that wants to call something is refused" {
	needs numpy
	raw cifar10-python
	printf 'cos\nsystem\n(S"touch here"\ntR.' > cifar10-python/data_batch_3
	refused 'data_batch_3: pickle: a name that a data set has no use for' cifar10 cifar10-python
	assert_file_not_exist here
}

@test "bombs and paths that lead outside" {
	needs PIL
	mkdir -p set/train/a
	# 100 MiB of zeros as a picture, in a zip file of 100 kB; and as a compressed file
	head -c 104857600 /dev/zero > set/train/a/x.png
	/usr/bin/python3 - <<-'EOF'
	import zipfile
	zipfile.ZipFile("bomb.zip", "w", zipfile.ZIP_DEFLATED).write("set/train/a/x.png")
	EOF
	refused "bomb.zip: set/train/a/x.png': " images bomb.zip
	mkdir mnist
	gzip -c < set/train/a/x.png > bomb.gz
	for _ in 1 2 3 4 5; do cat set/train/a/x.png; done | gzip -1 > mnist/train-images-idx3-ubyte.gz
	refused 'train-images-idx3-ubyte.gz: gzip: it holds more than 268435456 bytes' mnist mnist
	# a picture that says it is enormous
	/usr/bin/python3 - <<-'EOF'
	import struct, zlib
	def chunk(kind, data):
	    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
	def png(w, h, data):
	    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", w, h, 8, 2, 0, 0, 0))
	            + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b""))
	open("set/train/a/x.png", "wb").write(png(100000, 100000, b"x" * 1000))
	open("set/train/a/y.png", "wb").write(png(8000, 8000, b"x" * 1000))
	EOF
	refused 'x.png: png: ' images set
	rm set/train/a/x.png
	refused 'y.png: 8000 x 8000 pixels are more than' images set
	/usr/bin/python3 - <<-'EOF'
	import io, tarfile
	from PIL import Image
	b = io.BytesIO()
	Image.new("L", (8, 8)).save(b, "PNG")
	for n, name in enumerate(("../train/a/x.png", "/train/a/x.png", "train/../../x.png")):
	    with tarfile.open(f"out{n}.tar", "w") as t:
	        i = tarfile.TarInfo(name)
	        i.size = len(b.getvalue())
	        t.addfile(i, io.BytesIO(b.getvalue()))
	EOF
	for n in 0 1 2; do
		refused 'unsafe name' images out$n.tar
	done
}

@test "pictures that are damaged" {
	needs PIL
	pictures
	for f in set/train/c/0.jpg 'set/train/b cat/0.png'; do
		cp "$f" whole
		head -c $(($(stat -c %s "$f") / 2)) whole > "$f"
		refused "${f#set/}: " images set --size 16
		printf 'GIF89a' > "$f"
		refused "${f#set/}: this is neither JPEG nor PNG" images set --size 16
		mv whole "$f"
	done
	cp set/train/c/0.jpg set/0.jpg
	refused '0.jpg: a folder with the name of its class is expected' images set --size 16
}

@test "contact sheet: a picture of the right size with the first images in it" {
	digits d.h5 -q
	sd-prep contact-sheet d.h5 -o sheet.png --images 3
	run sd-prep contact-sheet d.h5 -o sheet.png
	assert_equal "$status" 64
	sd-prep contact-sheet d.h5 -o again.png --images 3 --seed 0
	cmp sheet.png again.png
	sd-prep contact-sheet d.h5 -o other.png --images 3 --seed 1
	run cmp sheet.png other.png
	assert_equal "$status" 1
	sd-prep contact-sheet d.h5 -o - --images 3 | cmp - sheet.png
	run sd-prep contact-sheet d.h5
	assert_equal "$status" 64
	run sd-prep contact-sheet d.h5 -o x.png --autoaugment
	assert_equal "$status" 64
	needs PIL
	needs h5py
	/usr/bin/python3 - <<-'EOF'
	import h5py, numpy as np
	from PIL import Image
	f = h5py.File("d.h5")
	s = np.asarray(Image.open("sheet.png"))
	x, y = f["train/images"][:, 0], f["train/labels"][:]
	left = 8 + 12
	for c in range(10):
	    for n, i in enumerate(np.flatnonzero(y == c)[:3]):
	        t = s[24 + c * 68:][:64, left + n * 68:][:, :64]
	        assert (t == np.kron(x[i], np.ones((8, 8), np.uint8))[..., None]).all(), (c, n)
	EOF
}

@test "networks for grey images of 28x28 and colour images of 96x96" {
	digits grey.h5 -q --size 28 --limit-train 40 --limit-test 20
	colours c.h5
	sd-prep cifar10 cifar-10-batches-bin -o large.h5 -q --size 96 --limit-train 16 --limit-test 8
	sd-prep info large.h5 | grep -q '^image	3	96	96$'
	for data in grey large; do
		sd-search --data $data.h5 --epochs 1 --batch_size 4 --init_channels 2 --layers 3 -q \
			-o s-$data.h5
		sd-derive s-$data.h5 > $data.genotype
		sd-train --data $data.h5 --arch ./$data.genotype --epochs 1 --batch_size 4 \
			--init_channels 4 --layers 3 --auxiliary --cutout -o m-$data.h5 -q
		sd-eval m-$data.h5 $data.h5 | grep -q '^top1	'
	done
	run sd-eval m-grey.h5 large.h5
	assert_equal "$status" 65
}
