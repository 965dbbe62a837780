load setup

SMALL="--arch DARTS_V2 --data digits.h5 --epochs 2 --init_channels 4 --layers 3 --limit-batches 3 -q"

setup() {
	cd "$BATS_TEST_TMPDIR"
	digits digits.h5 -q
}

@test "train: the artifact holds both epochs' weights, history, genotype and network" {
	sd-train $SMALL -o m.h5
	python_h5 <<-'EOS'
	import h5py, numpy as np
	f = h5py.File('m.h5', 'r')
	assert set(f['state']) == set(f['state_best'])
	assert f['state/stem.0.weight'].shape == (12, 1, 3, 3)
	assert f['state/classifier.weight'].shape == (10, 64), f['state/classifier.weight'].shape
	h = f['history']
	assert set(h) == set('lr drop_path_prob train_loss train_top1 train_top5 valid_loss valid_top1 valid_top5'.split())
	best = int(np.argmax(h['valid_top1'][:])) + 1
	assert f['best_epoch'][()] == best
	assert f['genotype'][()].decode().startswith('Genotype(normal=')
	assert f['network/layers'][()] == 3 and f['network/ops'][()] == b'OPS' and f['data'][()] == b'digits'
	assert abs(h['drop_path_prob'][0] - 0.1) < 1e-12
	EOS
}

@test "train: same command, same file; other threads and code paths too" {
	sd-train $SMALL --context none -o a.h5
	for i in 1 2 5; do
		sd-train $SMALL --context none --threads $i -o b.h5 --force
		cmp a.h5 b.h5
	done
	for path in generic avx2 avx512; do
		grep -q "${path/generic/fpu}" /proc/cpuinfo || continue
		SD_CPU=$path sd-train $SMALL --context none -o b.h5 --force
		cmp a.h5 b.h5
	done
}

@test "train: a genotype by name, by file, by standard input" {
	sd-train $SMALL --context none -o name.h5
	sd-train $SMALL --context none --arch "$ROOT/genotypes/DARTS_V2.genotype" -o file.h5
	sd-train $SMALL --context none --arch - -o stdin.h5 < "$ROOT/genotypes/DARTS_V2.genotype"
	cmp name.h5 file.h5
	cmp name.h5 stdin.h5
	run sd-train $SMALL --arch NO_SUCH_CELL -o x.h5
	assert_failure 66
	assert_output --partial NO_SUCH_CELL
	echo "X = Genotype(normal=[('nonsense', 0)])" > bad.genotype
	run sd-train $SMALL --arch ./bad.genotype -o x.h5
	assert_failure 65
	assert_output --partial bad.genotype
}

@test "train: the command lines of the original" {
	cp digits.h5 cifar10.h5
	sd-train --auxiliary_weight 0.4 --cutout --batch_size 64 --epochs 1 --save SHARPSEPCONV_DARTS_2k_cospower_min_1e-8 \
		--arch SHARPSEPCONV_DARTS --learning_rate 0.025 --learning_rate_min 1e-8 --cutout_length 4 \
		--init_channels 4 --dataset cifar10 --layers 3 --limit-batches 1 -q
	assert_file_exists SHARPSEPCONV_DARTS_2k_cospower_min_1e-8.h5
	for o in --multi_channel --mixed_auxiliary '--recipe imagenet'; do
		run sd-train $SMALL $o -o x.h5
		assert_failure 64
		assert_output --partial "supported"
	done
}

@test "train: AutoAugment, the same bits on any number of threads, of colour images only" {
	colours colours.h5
	local few="--data colours.h5 --arch DARTS_V2 --epochs 1 --init_channels 4 --layers 3 --batch_size 16
		--limit-batches 2 --cutout --context none -q"
	sd-train $few --autoaugment -o a.h5
	for i in 1 2 5; do
		sd-train $few --autoaugment --threads $i -o b.h5 --force
		cmp a.h5 b.h5
	done
	sd-train $few -o plain.h5
	assert_not_equal "$(payload a.h5)" "$(payload plain.h5)"
	manifest a.h5 | grep -q '"autoaugment": *true'
	run sd-train $SMALL --autoaugment -o x.h5
	assert_failure 64
	assert_output --partial "AutoAugment needs colour images; those of 'digits' have 1 channel"
	assert_file_not_exists x.h5
}

@test "train: the random eraser and the length of the hole change what is learnt from" {
	sd-train $SMALL --context none -o plain.h5
	sd-train $SMALL --context none --random_eraser -o a.h5
	sd-train $SMALL --context none --random_eraser --threads 3 -o b.h5
	cmp a.h5 b.h5
	sd-train $SMALL --context none --cutout --cutout_length 4 -o c.h5
	sd-train $SMALL --context none --cutout --cutout_length 2 -o d.h5
	[ "$(for f in plain a c d; do echo "$(payload $f.h5)"; done | sort -u | wc -l)" = 4 ]
}

@test "train: --flops says how large the network is, and makes nothing" {
	run sd-train --flops --auxiliary --arch SHARP_DARTS
	assert_success
	assert_line $'parameters\t2451360'
	assert_line $'parameters_without_auxiliary\t1974934'
	assert_line $'multiply_adds\t356729472'
	assert_line --regexp $'^activations\t[1-9][0-9]*$'
	assert_line --regexp $'^arena_bytes\t[1-9][0-9]*$'
	assert_line --regexp $'^launches\t[1-9][0-9]*$'
	assert_line --partial "counting for 10 classes of images of 3x32x32"
	run sd-train --flops --arch DARTS_V2 --data digits.h5 --init_channels 4 --layers 3
	assert_success
	refute_output --partial counting
	run sd-search --flops --primitives DARTS_PRIMITIVES -q
	assert_success
	assert_line $'parameters\t2527354'
	assert_equal "$(ls)" digits.h5
}

@test "train: --profile tells where the time goes, and a step runs what its plan has" {
	local run="$SMALL --epochs 1 --auxiliary --context none"
	want=$(sd-train $run --profile=plan --device cpu | cell ops)
	for n in 3 5; do
		sd-train $run --limit_batches $n --profile -o $n.h5 --force > table$n
		sd-train $run --limit_batches $n -o plain.h5 --force
		cmp $n.h5 plain.h5 # it changes nothing
	done
	assert_equal $(($(cell all 2 < table5) - $(cell all 2 < table3))) $((2 * want))
	run cat table3
	assert_line -n 0 --regexp '^# cpu, [a-z0-9]+, [0-9]+ threads: at most [0-9.]+ GFLOP/s and [0-9.]+ GB/s \(measured\)$'
	assert_line -n 1 $'family\tcalls\tlaunches\tms\tshare_%\tGFLOP/s\tGB/s\tlimit\troofline_%\tms_above'
	assert_line --regexp $'^conv 1x1\t'
	assert_line --regexp '^# [0-9.]+ ms in steps, [0-9.]+ ms in runs between steps, [0-9.]+ ms outside of runs$'
	assert_line --regexp '^# of these: [0-9.]+ ms data, [0-9.]+ ms sums, [0-9.]+ ms digests, [0-9.]+ ms checkpoints, [0-9.]+ ms others$'
	assert_line --regexp '^# [0-9.]+ ms of a processor for batches made meanwhile; .*: [0-9.]+ % of the time$'
	assert_line --regexp '^# [0-9]+ ms from the program.s start to its first step$'
	# no part is left out, and a checkpoint is one
	sd-train $run --epochs 2 --limit_batches 3 --checkpoint_seconds 0 --profile -o c.h5 > tablec
	for t in table3 tablec; do
		awk '/outside of runs$/ { out = $12 } /^# of these/ { for (i = 4; i < 14; i += 3) if (!($i > 0)) exit 1
			sum = $4 + $7 + $10 + $13 + $16; exit !(sum > 0.99 * out - 0.01 && sum < 1.01 * out + 0.01) }' $t
	done
	awk '/^# of these/ { t[FILENAME] = $13 } END { exit !(t["tablec"] > 2 * t["table3"]) }' table3 tablec
	# families are in the order of their times, and the last row is their sum
	awk -F'\t' 'NR < 3 || /^#/ { next } $1 == "all" { exit !(ms > 0.99 * $4 && ms < 1.01 * $4) }
		{ if (last && $4 > last) exit 1; last = $4; ms += $4 }' table3
	sd-train $run --profile=shapes,bandwidth=50,rate=0.1 -o s.h5 > table
	grep -q '^# .* at most 100.0 GFLOP/s and 50.0 GB/s (as ' table
	grep -q '^conv 1x1 64x[0-9]*x8x8	' table
}

@test "train: --profile=serial counts what is left to one thread" {
	sd-train $SMALL --epochs 1 --threads 2 --profile=serial,rate=1,bandwidth=10 -o s.h5 > table
	head -n 1 table | grep -q ', 1 threads:'
	[ "$(sed -n 2p table | cut -f 11-)" = $'serial_%\twide_%\tx2\tx16\tx64' ]
	# no more threads do all of it faster than so many times
	cell all 13 < table | awk '{ exit !($1 > 1 && $1 <= 2) }'
	cell all 15 < table | awk '{ exit !($1 > 1 && $1 <= 64) }'
	cell all 11 < table | awk '{ exit !($1 > 0 && $1 < 100) }'
}

@test "train: --profile=plan prints a step's plan and runs nothing" {
	sd-train $SMALL --profile=plan,bandwidth=100,rate=0.5,gap=3 --device cpu > plan
	grep -q '^# cpu, fp32, a batch of 64; bandwidth=100 GB/s, rate=0.5 TFLOP/s, gap=3 microseconds$' plan
	grep -q '^cuda_launches	[1-9]\|^# cuda_launches not known: ' plan
	awk -F'\t' '{ v[$1] = $NF } END {
		bytes = v["bytes_read"] + v["bytes_written"]
		near = 1e-5
		exit !(v["ops"] > 100 && v["launches"] == v["ops"] && v["bytes_over_floor"] >= 1 &&
			abs(v["bytes_over_floor"] - bytes / v["bytes_floor"]) < 1e-3 &&
			abs(v["seconds_by_bandwidth"] - bytes / 1e11) < near && abs(v["seconds_by_rate"] - v["flops"] / 5e11) < near &&
			v["seconds_by_roofline"] >= v["seconds_by_bandwidth"] && abs(v["seconds_of_gaps"] - 3e-6 * v["ops"]) < near)
		} function abs(x) { return x < 0 ? -x : x }' plan
	# twice the batch: twice the operations of images, and no more ops
	sd-train $SMALL --profile=plan --device cpu --batch_size 128 > twice
	assert_equal "$(cell ops < twice)" "$(cell ops < plan)"
	echo "$(cell flops < twice) $(cell flops < plan)" | awk '{ exit !($1 / $2 > 1.5 && $1 / $2 < 2) }'
	assert_equal "$(ls)" $'digits.h5\nplan\ntwice'
}

@test "train: words that --profile doesn't know" {
	for bad in bad plan,shapes bandwidth=0 rate=x gap=1 'plan,'; do
		run sd-train $SMALL --profile=$bad -o x.h5
		assert_failure 64
		assert_output --partial '--profile: '
	done
	assert_equal "$(ls)" digits.h5
}

@test "train: the schedule with warm restarts; a line every N steps" {
	sd-train $SMALL --epochs 4 --schedule warm_restarts --warm_restarts 1 --lr 0.1 --learning_rate_min 0 -o m.h5
	python_h5 <<-'EOS'
	import h5py, numpy as np
	np.testing.assert_allclose(h5py.File('m.h5', 'r')['history/lr'][:], [0.1, 0.1, 0.05, 0.1], rtol=1e-14)
	EOS
	sd-train ${SMALL% -q} --limit-batches 6 --report_freq 2 -v -o n.h5 2> log
	assert_equal "$(grep -c 'epoch 2, step [246]/6: train loss [0-9.]* top1 [0-9.]* top5 [0-9.]*$' log)" 3
	sd-train ${SMALL% -q} --limit-batches 6 --report_freq 2 -o n.h5 --force 2> log
	! grep 'step' log
}

@test "train: Padam, which goes on after a stop as well" {
	local padam="$SMALL --optimizer padam --lr 0.1 --context none"
	sd-train $padam -o a.h5
	sd-train $padam --partial 0.25 -o b.h5
	assert_not_equal "$(payload a.h5)" "$(payload b.h5)"
	run sd-train $padam -o c.h5 --max_time 0.000001
	assert_failure 75
	sd-train $padam -o c.h5 --resume auto
	cmp a.h5 c.h5
	python_h5 <<-'EOS'
	import h5py
	f = h5py.File('a.h5', 'r')
	assert 'momentum' not in f['optimizer'] and f['optimizer/padam_t'][()] == 6
	assert (f['optimizer/padam_u/stem.0.weight'][:] >= f['optimizer/padam_v/stem.0.weight'][:]).all()
	EOS
}

@test "train: the auxiliary head fits images of other sizes" {
	sd-train $SMALL --auxiliary -o x.h5
	run sd-train --flops --auxiliary --arch DARTS_V2 --data digits.h5 --init_channels 4 --layers 3
	assert_success
	[ "$(echo "$output" | awk '/^parameters/ { print $2 }' | sort -u | wc -l)" = 2 ]
}

@test "train: two runs can't write one target" {
	sd-train $SMALL --epochs 100 --limit-batches 0 -o m.h5 &
	local pid=$!
	sleep 0.4
	run sd-train $SMALL --epochs 100 --limit-batches 0 -o m.h5
	kill -TERM $pid
	wait $pid || true
	assert_failure
	assert_output --partial m.h5
}

@test "train: --also evaluates further data sets" {
	digits small.h5 -q --limit-test 50
	sd-train $SMALL --also small.h5 --also digits.h5 -o m.h5
	python_h5 <<-'EOS'
	import h5py
	f = h5py.File('m.h5', 'r')
	assert f['also/best_top1'].shape == (2,)
	best = f['best_epoch'][()] - 1
	assert f['also/best_loss'][1] == f['history/valid_loss'][best]
	assert f['also/last_loss'][1] == f['history/valid_loss'][-1]
	assert f['also/last_top5'][1] == f['history/valid_top5'][-1]
	EOS
	assert_equal "$(sd-collect m.h5 | wc -l)" 4
	run sd-train $SMALL --also nowhere.h5 -o n.h5
	assert_failure 66
}

@test "train: it learns" {
	sd-train --arch DARTS_V2 --data digits.h5 --epochs 8 --init_channels 8 --layers 3 --batch_size 32 -q -o m.h5
	run sd-collect m.h5
	assert_success
	local mean
	mean=$(echo "${lines[1]}" | cut -f 5)
	[ "${mean%.*}" -ge 90 ]
}

@test "train: --load_args takes the parameters of another training, but for those given" {
	sd-train $SMALL --cutout --cutout_length 3 --drop_path_prob 0.4 --seed 7 --context none -o a.h5
	sd-train --arch DARTS_V2 --data digits.h5 --load_args a.h5 --context none -q -o b.h5
	cmp a.h5 b.h5
	sd-train --arch DARTS_V2 --data digits.h5 --load_args a.h5 --seed 8 --context none -q -o c.h5
	manifest c.h5 | grep -q '"cutout_length": *3'
	assert_not_equal "$(payload a.h5)" "$(payload c.h5)"
	# numbered on from the run that it takes both from
	sd-train --arch DARTS_V2 --data digits.h5 --load_args a.h5 --resume a.h5 --epochs 1 -q -o d.h5
	manifest d.h5 | grep -q '"start_epoch": *3'
	run sd-train --arch DARTS_V2 --data digits.h5 --load_args digits.h5 -q -o e.h5
	assert_failure 65
	assert_output --partial "cannot take the parameters of 'digits.h5'"
}
