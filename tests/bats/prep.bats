#!/usr/bin/env bats
# sd-prep: from raw files to a data set.

load setup

# record LABEL VALUE: a record of CIFAR-10's binary form, every pixel VALUE.
record() {
	printf "$(printf '\\%03o' "$1")"
	head -c 3072 /dev/zero | tr '\0' "$(printf '\\%03o' "$2")"
}

# cifar_folder FOLDER [N]: N records a batch, labels going round.
cifar_folder() {
	local f i name n=${2:-4}
	mkdir -p "$1"
	for f in 1 2 3 4 5 6; do
		name=data_batch_$f.bin
		[ $f -lt 6 ] || name=test_batch.bin
		for i in $(seq "$n"); do
			record $(((f * n + i) % 10)) $((f * 16 + i))
		done > "$1/$name"
	done
	printf '%s\n' airplane automobile bird cat deer dog frog horse ship truck '' > "$1/batches.meta.txt"
}

cifar() {
	cifar_folder cifar-10-batches-bin "$@"
	tar -cf cifar.tar cifar-10-batches-bin
}

# refused STATUS TEXT DATASET PATH [OPTION...]: an error that says TEXT, and nothing is left behind.
refused() {
	local status_wanted=$1 text=$2
	shift 2
	mkdir -p empty_folder
	run sd-prep "$@" -o empty_folder/out.h5
	assert_equal "$status" "$status_wanted"
	assert_output --partial "$text"
	assert_equal "$(ls -A empty_folder)" ""
}

@test "--list names the data sets" {
	run sd-prep --list
	assert_success
	assert_line --regexp '^cifar10	'
	assert_line --regexp '^digits	'
}

@test "digits: sizes, classes, statistics" {
	digits d.h5 -q
	run sd-prep info d.h5
	assert_success
	assert_line 'name	digits'
	assert_line 'image	1	8	8'
	assert_line 'classes	10'
	assert_line 'train	1437'
	assert_line 'test	360'
	assert_line 'padding	1'
	assert_line 'mirror	0'
	assert_equal "$(sd-prep info d.h5 | grep -c '^class	')" 10
	sd-prep info d.h5 > info
	assert_equal "$(awk '$1 == "class" { a += $4; b += $5 } END { print a, b }' info)" '1437 360'
	assert_equal "$(sed -n 's/^mean/computed_mean/p' info)" "$(grep ^computed_mean info)"
}

@test "digits: with and without compression, from a stream: the same pixels" {
	digits a.h5 -q
	gunzip < "$DIGITS" > digits.csv
	sd-prep digits digits.csv -o b.h5 -q
	sd-prep digits - -o c.h5 -q < "$DIGITS"
	assert_equal "$(payload b.h5)" "$(payload a.h5)"
	assert_equal "$(payload c.h5)" "$(payload a.h5)"
	assert_equal "$(artifact_id c.h5)" "$(artifact_id a.h5)"
}

@test "equal runs give equal ids, and without context equal files" {
	digits a.h5 -q
	mkdir other
	(cd other && umask 077 && TZ=Asia/Tokyo digits b.h5 -q)
	assert_equal "$(artifact_id a.h5)" "$(artifact_id other/b.h5)"
	digits c.h5 -q --context none
	digits d.h5 -q --context none
	cmp c.h5 d.h5
}

@test "the raw file's SHA-256 and size are in the manifest" {
	digits d.h5 -q
	run manifest d.h5
	assert_output --partial "$(sha256sum < "$DIGITS" | cut -d ' ' -f 1)"
	assert_output --partial "$(stat -Lc %s "$DIGITS")"
	cifar
	sd-prep cifar10 cifar-10-batches-bin -o c.h5 -q
	run manifest c.h5
	assert_output --partial "$(sha256sum < cifar-10-batches-bin/data_batch_3.bin | cut -d ' ' -f 1)"
}

@test "cifar10: archives in any compression, a folder and a stream give the same payload" {
	cifar
	gzip -k cifar.tar
	xz -k cifar.tar
	bzip2 -k cifar.tar
	sd-prep cifar10 cifar.tar -o a.h5 -q
	for raw in cifar.tar.gz cifar.tar.xz cifar.tar.bz2 cifar-10-batches-bin . ./cifar-10-batches-bin/; do
		sd-prep cifar10 "$raw" -o b.h5 -q --force
		assert_equal "$(payload b.h5)" "$(payload a.h5)"
	done
	sd-prep cifar10 - -o b.h5 -q --force < cifar.tar.xz
	assert_equal "$(payload b.h5)" "$(payload a.h5)"
	run sd-prep info a.h5
	assert_line 'train	20'
	assert_line 'test	4'
	assert_line 'image	3	32	32'
	assert_line 'mean	0.49139968	0.48215827	0.44653124'
	assert_line 'std	0.24703233	0.24348505	0.26158768'
	assert_line 'class	3	cat	2	0'
	assert_line 'mirror	1'
}

@test "cifar10: pixels, labels and statistics as h5py sees them" {
	/usr/bin/python3 -c 'import h5py' 2> /dev/null || skip "no h5py"
	cifar
	sd-prep cifar10 cifar.tar -o a.h5 -q
	/usr/bin/python3 - <<-'EOF'
	import h5py, numpy as np
	f = h5py.File("a.h5", "r")
	x, y = f["train/images"][:], f["train/labels"][:]
	assert x.shape == (20, 3, 32, 32) and x.dtype == np.uint8
	for i in range(20):
	    b, k = i // 4 + 1, i % 4 + 1
	    assert (x[i] == b * 16 + k).all() and y[i] == (b * 4 + k) % 10, i
	assert (f["train/source"][:] == np.arange(20)).all()
	z = x.astype(np.float64) / 255
	assert np.allclose(f["statistics/mean"][:], z.mean((0, 2, 3)), atol=1e-7)
	assert np.allclose(f["statistics/std"][:], z.std((0, 2, 3)), atol=1e-7)
	assert f["classes"][9] == b"truck" and f["name"][()] == b"cifar10"
	EOF
}

@test "the limits keep the first of a seeded shuffle" {
	cifar 10
	sd-prep cifar10 cifar.tar -o all.h5 -q
	sd-prep cifar10 cifar.tar -o a.h5 -q --limit-train 20 --limit_test 5
	sd-prep cifar10 cifar.tar -o b.h5 -q --limit-train 20 --limit-test 5
	sd-prep cifar10 cifar.tar -o c.h5 -q --limit-train 20 --limit-test 5 --seed 1
	run sd-prep info a.h5
	assert_line 'train	20'
	assert_line 'test	5'
	assert_equal "$(payload a.h5)" "$(payload b.h5)"
	assert_not_equal "$(payload a.h5)" "$(payload c.h5)"
	refused 65 "cannot keep 51 images of split 'train', it has 50" cifar10 cifar.tar --limit-train 51
	refused 64 limit_train cifar10 cifar.tar --limit-train 0
}

@test "cifar10: a record cut short" {
	cifar
	truncate -s -1 cifar-10-batches-bin/data_batch_4.bin
	refused 65 'data_batch_4.bin: record 4 is cut short: 3072 of 3073 bytes' cifar10 cifar-10-batches-bin
	tar -cf bad.tar cifar-10-batches-bin
	refused 65 'data_batch_4.bin: record 4 is cut short' cifar10 bad.tar
}

@test "cifar10: a label over 9" {
	cifar
	record 10 1 >> cifar-10-batches-bin/test_batch.bin
	refused 65 'test_batch.bin: record 5 has label 10' cifar10 cifar-10-batches-bin
}

@test "cifar10: a batch missing, one too many, an empty one" {
	cifar
	mv cifar-10-batches-bin/data_batch_2.bin x
	refused 65 'there is no data_batch_2.bin' cifar10 cifar-10-batches-bin
	: > cifar-10-batches-bin/data_batch_2.bin
	refused 65 'data_batch_2.bin: the file is empty' cifar10 cifar-10-batches-bin
	cp x cifar-10-batches-bin/data_batch_2.bin
	cp x cifar-10-batches-bin/data_batch_6.bin
	refused 65 'data_batch_6.bin' cifar10 cifar-10-batches-bin
	rm cifar-10-batches-bin/data_batch_6.bin
	mkdir cifar-10-batches-bin/again
	cp x cifar-10-batches-bin/again/data_batch_2.bin
	refused 65 'a second file of that name' cifar10 cifar-10-batches-bin
}

@test "cifar10: no archive, a damaged one, an empty one, none at all" {
	cifar
	gzip -k cifar.tar
	refused 65 'this is no archive' cifar10 cifar-10-batches-bin/test_batch.bin
	head -c $(($(stat -c %s cifar.tar.gz) / 2)) cifar.tar.gz > cut.tar.gz
	refused 65 'cut.tar.gz' cifar10 cut.tar.gz
	head -c 40000 cifar.tar > cut.tar
	refused 65 'cut.tar' cifar10 cut.tar
	: > empty
	refused 65 "cannot read 'empty': the file is empty" cifar10 empty
	refused 65 '(stdin)' cifar10 - < /dev/null
	refused 66 "cannot open 'nowhere': No such file or directory" cifar10 nowhere
}

@test "digits: broken lines" {
	gunzip < "$DIGITS" > d.csv
	sed '7s/^[0-9]*/17/' d.csv > bad.csv
	refused 65 'bad.csv: line 7, value 1: a number of 0 to 16' digits bad.csv
	sed '9s/[0-9]*$/10/' d.csv > bad.csv
	refused 65 'bad.csv: line 9, value 65: a label of 0 to 9' digits bad.csv
	head -c 1000 d.csv > bad.csv
	refused 65 'bad.csv: line' digits bad.csv
	head -c 1000 "$DIGITS" > bad.csv.gz
	refused 65 'bad.csv.gz' digits bad.csv.gz
}

@test "an archive that points outside is refused" {
	cifar
	tar -P -cf bad.tar --transform 's|.*meta.txt|../../evil|' cifar-10-batches-bin
	refused 65 'unsafe name' cifar10 bad.tar
}

@test "wrong usage is exit 64" {
	refused 64 "no data set 'cifar11' (known: cifar10, cifar10.1, " cifar11 x
	refused 64 'two operands' cifar10
	refused 64 '--list takes no operands' --list x
}

@test "the default name, an existing file of another run, --force" {
	cifar
	sd-prep cifar10 cifar.tar -q
	assert_file_exist cifar10.h5
	cp cifar10.h5 before.h5
	sd-prep cifar10 cifar.tar -q
	run sd-prep cifar10 cifar.tar -q --limit-train 3
	assert_equal "$status" 64
	assert_equal "$(artifact_id cifar10.h5)" "$(artifact_id before.h5)"
	sd-prep cifar10 cifar.tar -q --limit-train 3 --force
	assert_not_equal "$(artifact_id cifar10.h5)" "$(artifact_id before.h5)"
}

@test "through pipes" {
	digits - -q | sd-prep info - > a
	digits d.h5 -q
	sd-prep info d.h5 | cmp - a
	gunzip < "$DIGITS" | sd-prep digits - -o - -q | sd-verify -
}

@test "info refuses what is no data set" {
	run sd-prep info "$DIGITS"
	assert_equal "$status" 65
	digits d.h5 -q
	flip d.h5 100000
	run sd-prep info d.h5
	assert_equal "$status" 65
	run sd-prep info nowhere.h5
	assert_equal "$status" 66
}

@test "the whole of a small official archive" {
	local data=$ROOT/../shared/data
	[ -x "$data/make-cifar10-binary" ] || skip "no ../shared/data"
	/usr/bin/python3 -c 'import PIL' 2> /dev/null || skip "no Pillow"
	/usr/bin/python3 "$data/make-cifar10-binary" -n 20 -t 30 c.tar.gz
	run sd-prep cifar10 c.tar.gz -o c.h5
	assert_success
	assert_output --partial 'note: the whole of cifar10 has 50000 and 10000'
	run sd-prep info c.h5
	assert_line 'train	100'
	assert_line 'test	30'
	assert_line --regexp '^class	9	truck	'
}

@test "the manual names every option" {
	sd-prep --synopsis | cut -f 1 | while read -r option; do
		grep -q -- "$(echo "${option#--}")" "$ROOT/man/sd-prep.1" || { echo "$option"; false; }
	done
}
