# setup.bash: what a test file loads first: `load setup`.  A test then starts in an empty folder of
# its own, with the built tools in PATH.

for _dir in /usr/lib/bats /usr/share/bats /usr/lib /usr/local/lib; do
	if [ -e "$_dir/bats-support/load.bash" ]; then
		load "$_dir/bats-support/load.bash"
		load "$_dir/bats-assert/load.bash"
		load "$_dir/bats-file/load.bash"
		break
	fi
done

ROOT=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
BUILD=${BUILD:-build}
case $BUILD in
/*) ;;
*) BUILD=$ROOT/$BUILD ;;
esac
PATH=$BUILD/bin:$PATH
DIGITS=$ROOT/share/data/digits.csv.gz
export ROOT BUILD PATH DIGITS
export LC_ALL=C
# what make tells its own jobs (make check runs the tests) is not for the makes that they run
unset SD_CPU MAKEFLAGS MFLAGS MAKELEVEL

setup() {
	cd "$BATS_TEST_TMPDIR" || return 1
}

# digits FILE [OPTION...]: the digits data set.
digits() {
	local out=$1
	shift
	sd-prep digits "$DIGITS" -o "$out" "$@"
}

# colours FILE: a data set of 200 and 40 colour images, read as cifar10.
colours() {
	local f i name
	mkdir cifar-10-batches-bin
	for f in 1 2 3 4 5 6; do
		name=data_batch_$f.bin
		[ $f -lt 6 ] || name=test_batch.bin
		for i in $(seq 40); do
			printf "\\x$((i % 10))"
			seq $((i * f * 17)) 9999 | head -c 3072
		done > cifar-10-batches-bin/$name
	done
	printf '%s\n' airplane automobile bird cat deer dog frog horse ship truck '' \
		> cifar-10-batches-bin/batches.meta.txt
	sd-prep cifar10 cifar-10-batches-bin -o "$1" -q
}

# manifest FILE: an artifact's manifest, one JSON object.
manifest() {
	sd-verify --print "$1"
}

# artifact_id FILE: the id in the text line that an artifact starts with.
artifact_id() {
	head -c 512 "$1" | tr -d '\0' | grep -aoE '[0-9a-f]{64}' | head -n 1
}

# payload FILE: the digest of all that an artifact holds.
payload() {
	manifest "$1" | tr -d ' \n' | sed 's/.*"payload":"\([0-9a-f]*\)".*/\1/' && echo
}

# columns FILE-OR-NOTHING: the header of a TSV table, one name a line.
columns() {
	head -n 1 "$@" | tr '\t' '\n'
}

# python_h5 [ARGUMENT...] < PROGRAM: Python with h5py and NumPy; without them the test is skipped.
python_h5() {
	/usr/bin/python3 -c 'import h5py, numpy' 2> /dev/null || skip "no h5py"
	/usr/bin/python3 - "$@"
}

# flip FILE BYTE [BIT]: turns one bit of a file over, in place.
flip() {
	local bit=${3:-0} old
	old=$(od -An -tu1 -j "$2" -N 1 "$1")
	printf "$(printf '\\%03o' $((old ^ (1 << bit))))" |
		dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}

# cell NAME [N]: column N, or the last, of the row of a table that begins with NAME.
cell() {
	awk -F'\t' -v name="$1" -v n="${2:-0}" '$1 == name { print (n ? $n : $NF) }'
}
