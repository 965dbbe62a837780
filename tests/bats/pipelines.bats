# The study of pipelines/cifar10.mk at its smallest, and the pictures of searches.

load setup

study() {
	make --no-print-directory -f "$ROOT/pipelines/cifar10.mk" SCALE=smoke BIN="$BUILD/bin" OUT=run \
		ARCHIVE=cifar-10-batches-bin SEARCH_SEEDS='1 2' WEIGHTINGS=scalar RANDOM_SEEDS=1 SEEDS='1 2' \
		SEARCH_SIZE='--batch_size 20 --layers_of_cells 2 --layers_in_cells 1 --init_channels 2 --limit-batches 1' \
		TRAIN_SIZE='--batch_size 20 --layers 3 --init_channels 4 --limit-batches 2' CELL_NODES=1 "$@"
}

@test "the study shows its commands without data or tools" {
	run make -n -f "$ROOT/pipelines/cifar10.mk" ARCHIVE=/dev/null
	assert_success
	for tool in prep search derive train eval collect; do
		assert_output --partial "sd-$tool "
	done
	assert_output --partial '--weighting_algorithm max_w --seed 22'
	assert_output --partial '--random 1 '
	assert_output --partial '--train_portion 0.5'
	refute_output --partial 'cifar10.1'
	run make -n -f "$ROOT/pipelines/cifar10.mk" ARCHIVE=/dev/null ARCHIVE_10_1=/dev/null
	assert_output --partial 'sd-prep cifar10.1 '
}

@test "the study runs from the archive to the report, and only once" {
	colours data.h5
	/usr/bin/python3 -c 'import numpy' || skip 'no numpy'
	mkdir new
	/usr/bin/python3 - <<-'EOS'
	import numpy as n
	n.save('new/cifar10.1_v6_data.npy', n.arange(30 * 3072).astype('u1').reshape(30, 32, 32, 3))
	n.save('new/cifar10.1_v6_labels.npy', (n.arange(30) % 10).astype('int64'))
	EOS
	run study ARCHIVE_10_1=new ARCHS=DARTS_V2
	assert_success
	for f in results.tsv results.md compare.tsv curves.svg report.html scalar/pick.tsv scalar/cell.genotype \
		random/model-2.h5 DARTS_V2/eval-1.h5; do
		assert_file_not_empty run/$f
	done
	# three methods on two data sets, two seeds each
	assert_equal "$(cut -f 2-4 run/results.tsv | sed 1d | sort | tr '\t\n' ' ,')" \
		"DARTS_V2 cifar10 2,DARTS_V2 cifar10.1 2,random cifar10 2,random cifar10.1 2,scalar cifar10 2,scalar cifar10.1 2,"
	# what was picked is what did best on images that neither it nor its search was trained on
	best=$(sed 1d run/scalar/pick.tsv | sort -t "$(printf '\t')" -k5,5g -k8,8 | head -n 1 | cut -f 8)
	cmp "${best%pick.h5}cell.genotype" run/scalar/cell.genotype
	assert_equal "$(cut -f 3 run/scalar/pick.tsv | sed 1d | uniq)" cifar10/valid
	grep -q 'welch' run/compare.tsv
	run study ARCHIVE_10_1=new ARCHS=DARTS_V2
	assert_success
	refute_output --partial "$BUILD/bin/sd-"
	run sd-verify run/*/*.h5
	assert_success
}

@test "two methods with one cell do not stop the study" {
	colours data.h5
	# alphas that stay what the seed made them are the same with either weighting
	run study WEIGHTINGS='scalar max_w' SEARCH_SIZE='--batch_size 20 --layers_of_cells 2 --layers_in_cells 1 \
		--init_channels 2 --limit-batches 1 --arch_learning_rate 0'
	assert_success
	assert_equal "$(cut -f 2,4 run/results.tsv | sed 1d | tr '\t\n' ' ,')" 'max_w=scalar 2,random 2,'
	# each against random, and with the same numbers
	assert_equal "$(cut -f 2-4 run/compare.tsv | grep welch | tr '\t\n' ' ,')" 'scalar random welch,max_w random welch,'
	assert_equal "$(grep welch run/compare.tsv | cut -f 6- | uniq | wc -l)" 1
	grep -q 'max_w=scalar' run/report.html
}

@test "a search becomes one animated picture" {
	command -v dot > /dev/null || skip 'no Graphviz'
	mkdir run
	"$BUILD/tests/test_genofile" --write run/search.h5
	make -s -f "$ROOT/pipelines/cifar10.mk" BIN="$BUILD/bin" OUT=run -o run/search.h5 run/search.svg
	assert_equal "$(ls run/frames | tr '\n' ' ')" '00001.svg 00002.svg 00003.svg '
	/usr/bin/python3 - <<-'EOS'
	import xml.dom.minidom as m
	root = m.parse('run/search.svg').documentElement
	frames = [g for g in root.childNodes if g.nodeName == 'g']
	assert [g.getAttribute('visibility') for g in frames] == ['hidden', 'hidden', 'visible']
	shown = []
	for g in frames:
	    a = g.getElementsByTagName('animate')[0]
	    at = [float(t) for t in a.getAttribute('keyTimes').split(';')] + [1]
	    shown += [(p, q) for p, q, v in zip(at, at[1:], a.getAttribute('values').split(';')) if v == 'visible']
	# one after the other, none twice, always one
	assert shown[0][0] == 0 and shown[-1][1] == 1 and all(p[1] == q[0] for p, q in zip(shown, shown[1:])), shown
	for i, g in enumerate(frames, 1):
	    assert any('epoch %d of 3' % i in t.firstChild.data for t in g.getElementsByTagName('text'))
	EOS
}

small() {
	make -s --no-print-directory -f "$ROOT/pipelines/quickstart.mk" BIN="$BUILD/bin" OUT=run RECORDED= \
		DIGITS=raw.csv.gz SEEDS='1 2' DERIVE='--name SMALL' \
		SEARCH='--init-channels 2 --layers-of-cells 2 --layers-in-cells 1 --batch_size 32 --epochs 2 --limit-batches 2' \
		TRAIN='--layers 3 --init-channels 4 --batch_size 32 --epochs 2 --limit-batches 2' "$@"
}

# What is there: inodes change when something is made again.
made() {
	(cd run && find . -maxdepth 1 -type f ! -name '*.options' -printf '%i %f\n' | sort -k 2)
}

@test "what is current is told by content, not by the clock" {
	cp "$DIGITS" raw.csv.gz
	small > /dev/null
	made > before
	touch raw.csv.gz run/*.h5 run/cell.genotype
	run small
	assert_success
	refute_output --partial "$BUILD/bin"
	made | diff before -
	touch -d 2001-01-01 run/model-1.h5 run/results.tsv
	run small
	assert_success
	made | grep -v 'results\|payloads' | diff <(grep -v 'results\|payloads' before) -
	run small why
	assert_success
	assert_line 'run/eval-2.h5: current'
	refute_line --regexp ': (not|its|para|input)'
}

@test "a parameter makes stale what depends on it, and why says so" {
	cp "$DIGITS" raw.csv.gz
	small > /dev/null
	made > before
	other='--layers 3 --init-channels 4 --batch_size 32 --epochs 2 --limit-batches 2 --learning_rate 0.1'
	run small why TRAIN="$other"
	assert_success
	assert_line 'run/search.h5: current'
	assert_line 'run/model-2.h5: parameter learning_rate: 0.025 there, 0.1 now'
	assert_line 'run/eval-2.h5: its input run/model-2.h5 is not current'
	assert_line 'run/normal.svg: current'
	made | diff before -
	run small why STAGE=search TRAIN="$other"
	assert_output 'run/digits.h5: current
run/search.h5: current'
	run small TRAIN="$other"
	assert_success
	assert_line 'run/model-1.h5: parameter learning_rate: 0.025 there, 0.1 now'
	assert_equal "$(made | diff before - | sed -n 's/^> [0-9]* //p' | tr '\n' ' ')" \
		'curves.png curves.svg eval-1.h5 eval-2.h5 model-1.h5 model-2.h5 '
	run small why STAGE=none
	assert_failure
	assert_output --partial 'no stage none: there are digits.h5 search.h5'
}

@test "raw data, damage and another seed make stale what depends on them" {
	cp "$DIGITS" raw.csv.gz
	small > /dev/null
	made > before
	# one pixel, and an older file
	gzip -dc "$DIGITS" | sed '$s/,[0-9]*,/,1,/' | gzip -n > raw.csv.gz
	touch -d 2001-01-01 raw.csv.gz
	run small why STAGE=search
	assert_line --regexp '^run/digits.h5: input [a-z0-9]*: [0-9a-f]{64} there, [0-9a-f]{64} now$'
	assert_line 'run/search.h5: its input run/digits.h5 is not current'
	run small run/search.h5
	assert_line --regexp '^run/search.h5: input data: [0-9a-f]{64} there, [0-9a-f]{64} now$'
	# now the input is other than what the rest was made of
	run small why STAGE=model-1
	assert_line --regexp '^run/model-1.h5: input data: [0-9a-f]{64} there, [0-9a-f]{64} now$'
	small > /dev/null
	flip run/model-1.h5 3000
	sed -i 's/skip_connect/none/; s/sep_conv_3x3/none/; s/max_pool_3x3/none/; s/dil_conv_3x3/none/' run/cell.genotype
	run small why
	assert_line 'run/cell.genotype: damaged'
	run small run/cell.genotype run/model-1.h5
	assert_success
	assert_line 'run/cell.genotype: damaged'
	assert_line 'run/model-1.h5: damaged, or no artifact'
	refute_line --partial 'run/search.h5: '
	run small why SEARCH_SEED=3 STAGE=search
	assert_line 'run/search.h5: seed: 2 there, 3 now'
}

@test "a checkpoint of other parameters is dropped" {
	cp "$DIGITS" raw.csv.gz
	small run/digits.h5 > /dev/null
	run sd-search --init-channels 2 --layers-of-cells 2 --layers-in-cells 1 --batch_size 32 --data run/digits.h5 \
		-q -o run/search.h5 --max_time 0.000001
	assert_failure 75
	assert_file_exists run/search.h5.ckpt
	run small run/search.h5
	assert_success
	assert_file_not_exists run/search.h5.ckpt
	assert_file_exists run/search.h5
}

@test "--update and --why by themselves" {
	digits d.h5 -q
	run sd-prep digits "$DIGITS" -o d.h5 --why
	assert_success
	assert_output 'd.h5: current'
	run sd-prep digits "$DIGITS" -o d.h5 --update program
	assert_success
	assert_output ''
	run sd-prep digits "$DIGITS" -o d.h5 --update inputs --limit-train 100 --why
	assert_output 'd.h5: parameter limit_train: none there, 100 now'
	ls -i d.h5 > before
	run sd-prep digits "$DIGITS" -o d.h5 --update inputs --limit-train 100 --force
	assert_success
	assert_output --partial 'sd-prep: d.h5: parameter limit_train: none there, 100 now'
	run diff before <(ls -i d.h5)
	assert_failure
	run sd-prep digits "$DIGITS" -o - --update inputs
	assert_failure 64
	assert_output --partial 'not for standard output'
	run sd-derive --random 1 -o x.genotype
	run sd-derive --random 2 -o x.genotype --why
	assert_output --regexp 'x.genotype: .*1 there, 2 now'
	run sd-derive --all --why d.h5
	assert_failure 64
}
