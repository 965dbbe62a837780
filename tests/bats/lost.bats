load setup

# Nothing is lost, torn or mixed up: full and read-only disks, little memory, and several at once.  Failing system
# calls and kills are the matter of tests/crash.

SMALL="--init_channels 1 --layers 1 --batch_size 8 --limit-batches 2 --context none -q --threads 1"

# few FILE [OPTION...]: a small data set.
few() {
	local out=$1
	shift
	digits "$out" --limit-train 40 --limit-test 8 --context none -q "$@"
}

# apart SCRIPT: runs it where it may mount what it likes.
apart() {
	unshare -rm true 2> /dev/null || skip 'no mount namespace'
	unshare -rm bash -eu -c "$1"
}

# only NAME...: nothing else lies here.
only() {
	run ls -A
	assert_output "$(printf '%s\n' "$@" | sort)"
}

@test "lost: a full disk leaves the old file and says so" {
	few d.h5
	mkdir disk
	apart '
		mount -t tmpfs -o size=64k none disk
		cd disk
		echo before > d.h5
		status=0
		sd-prep digits "$DIGITS" -o d.h5 --force -q 2> ../err || status=$?
		[ $status = 74 ]
		[ "$(cat d.h5)" = before ]
		[ "$(ls -A)" = d.h5 ]
		# a search whose checkpoint finds no room
		dd if=/dev/zero of=fill bs=1k 2> /dev/null || true
		status=0
		sd-search --data ../d.h5 -o s.h5 '"$SMALL"' --layers_in_cells 1 --epochs 2 2> ../err2 || status=$?
		[ $status = 74 ]
		[ "$(ls -A)" = "$(printf "d.h5\nfill")" ]
	'
	assert_equal "$(cat err)" "sd-prep: cannot write 'd.h5': No space left on device"
	run cat err2
	assert_output --regexp "^sd-search: cannot (write|create) 's\.h5.*': No space left on device$"
}

@test "lost: inputs on a read-only disk, and outputs there" {
	mkdir data
	few data/d.h5
	apart '
		mount --bind data data
		mount -o remount,ro,bind data
		sd-search --data data/d.h5 -o s.h5 '"$SMALL"' --layers_in_cells 1 --epochs 1
		sd-verify data/d.h5 s.h5 > /dev/null
		status=0
		sd-derive s.h5 -o data/g.genotype 2> err || status=$?
		[ $status = 74 ]
	'
	run cat err
	assert_output "sd-derive: cannot create 'data/g.genotype': Read-only file system"
}

@test "lost: two runs of one target, the second is refused" {
	few d.h5
	sd-train --arch DARTS_V2 --data d.h5 $SMALL --epochs 5000 -o m.h5 &
	local pid=$!
	while [ ! -e m.h5.lock ] && kill -0 $pid; do sleep 0.01; done
	run sd-train --arch DARTS_V2 --data d.h5 $SMALL --epochs 1 -o m.h5
	kill $pid
	assert_failure 74
	assert_output "sd-train: 'm.h5' is being written by another process"
	wait $pid || true
}

@test "lost: many writers of one target: it is one of theirs, whole at any time" {
	local i whole
	few d.h5
	for i in 1 2 3 4; do
		few $i.h5 --seed $i
		sha256sum < $i.h5
	done | sort > wanted
	cp 1.h5 d.h5
	for i in 1 2 3 4; do
		while [ ! -e enough ]; do few d.h5 --seed $i --force; done &
	done
	for _ in $(seq 30); do
		whole=$(sha256sum < d.h5)
		grep -q "$whole" wanted || { touch enough; false; }
		sd-verify -q d.h5 || { touch enough; false; }
	done
	touch enough
	wait
	grep -q "$(sha256sum < d.h5)" wanted
	only 1.h5 2.h5 3.h5 4.h5 d.h5 enough wanted
}

@test "lost: 64 runs at once on one data set" {
	few d.h5
	printf '%s\n' 'all: $(foreach n,1 2 3 4 5 6 7 8,$(foreach m,1 2 3 4 5 6 7 8,run$n$m.h5))' 'run%.h5: d.h5' \
		"	sd-train --arch DARTS_V2 --data d.h5 $SMALL --epochs 1 -o \$@" > Makefile
	run make -j 64
	assert_success
	sd-verify -q run*.h5
	run sh -c 'sha256sum run*.h5 | cut -c 1-64 | sort -u'
	assert_equal "${#lines[@]}" 1
	run sh -c 'ls -A | grep -v "^run[1-8][1-8]\.h5$"'
	assert_output "$(printf 'Makefile\nd.h5')"
}

@test "lost: what killed writers left is swept away, what others write is not" {
	few d.h5
	echo lost > .d.h5.1234567.tmp
	echo mine > .other.h5.1234567.tmp
	echo held > .d.h5.7654321.tmp
	flock .d.h5.7654321.tmp sleep 60 &
	local pid=$!
	while flock -n .d.h5.7654321.tmp true; do sleep 0.01; done
	few d.h5 --force
	kill $pid
	only .d.h5.7654321.tmp .other.h5.1234567.tmp d.h5
}

@test "lost: less memory than is needed is said" {
	digits d.h5 -q
	sd-search --data d.h5 -o s.h5 $SMALL --layers_in_cells 1 --epochs 1
	local kib ended=0
	for kib in 40000 60000 80000 120000; do
		run bash -c "ulimit -v $kib; exec sd-search --data d.h5 -o s.h5 --force --init_channels 64 --layers 8 \
			--batch_size 64 --context none -q --threads 1 --epochs 1"
		[ $status -ne 127 ] || continue # the loader itself
		assert_failure 74
		assert_output --regexp 'memory|allocate'
		ended=$((ended + 1))
	done
	[ $ended -gt 0 ]
	sd-verify -q s.h5
}
