load setup

# A search that takes a fraction of a second.
SMALL="--data digits.h5 --epochs 2 --init_channels 4 --layers_of_cells 3 --layers_in_cells 2 --batch_size 64
	--limit-batches 3 -q"

setup() {
	cd "$BATS_TEST_TMPDIR"
	digits digits.h5 -q
}

python_h5() {
	/usr/bin/python3 -c 'import h5py, numpy' 2> /dev/null || skip "no h5py"
	/usr/bin/python3 - "$@"
}

@test "search: the artifact holds alphas, weights, history, primitives, state and optimiser" {
	sd-search $SMALL -o s.h5 --primitives DARTS_PRIMITIVES
	python_h5 <<-'EOS'
	import h5py, numpy as np
	f = h5py.File('s.h5', 'r')
	names = [n.decode() for n in f['primitives'][:]]
	assert names == ['none', 'max_pool_3x3', 'avg_pool_3x3', 'skip_connect', 'sep_conv_3x3', 'sep_conv_5x5',
		'dil_conv_3x3', 'dil_conv_5x5'], names
	for c in 'normal', 'reduce':
	    a, w = f['alphas'][c][:], f['weights'][c][:]
	    assert a.shape == w.shape == (2, 5, 8) and a.dtype == w.dtype == np.float32
	    e = np.exp(a.astype(float))
	    assert abs(e / e.sum(-1, keepdims=True) - w).max() < 1e-6
	    assert (f['alphas_last'][c][:] == a[-1]).all()
	for c in 'lr train_loss train_top1 train_top5 arch_loss valid_loss valid_top1 valid_top5'.split():
	    assert f['history'][c].shape == (2,) and np.isfinite(f['history'][c][:]).all(), c
	state = set(f['state'])
	assert state >= {'stem.0.weight', 'classifier.bias', 'cells.2.preprocess1.op.1.weight',
	    'cells.0._ops.0._ops.4.op.1.weight'}, sorted(state)[:40]
	assert not any('alphas' in n for n in state)
	assert f['state/stem.1.num_batches_tracked'][()] == 12
	assert f['optimizer/adam_t'][()] == 6
	assert f['optimizer/momentum/stem.0.weight'].shape == f['state/stem.0.weight'].shape
	assert 'progress' not in f
	EOS
}

@test "search: the same command gives the same id and file, on other threads and code paths, elsewhere" {
	sd-search $SMALL --context none -o a.h5
	for i in 1 2 5; do
		sd-search $SMALL --context none --threads $i -o b.h5 --force
		cmp a.h5 b.h5
	done
	for path in generic avx2 avx512; do
		grep -q "${path/generic/fpu}" /proc/cpuinfo || continue
		SD_CPU=$path sd-search $SMALL --context none -o b.h5 --force
		cmp a.h5 b.h5
	done
	mkdir other
	cp digits.h5 other
	(cd other && umask 077 && TZ=Asia/Tokyo LC_ALL=C.UTF-8 sd-search $SMALL --context none -o a.h5)
	cmp a.h5 other/a.h5
	sd-search $SMALL --seed 3 -o c.h5
	assert_not_equal "$(artifact_id a.h5)" "$(artifact_id c.h5)"
}

@test "search: the original's names, with either hyphen, and --save" {
	mkdir data
	cp digits.h5 data
	sd-search --data data --dataset digits --batch_size 64 --layers-of-cells 3 --layers_in_cells 2 --save NAME \
		--init-channels 4 --epochs 2 --cutout --cutout-length 4 --seed 22 --weighting_algorithm max_w \
		--primitives DARTS_PRIMITIVES --limit-batches 1 --gpu 0 --report_freq 50 --mid_channels 32 -q
	assert_file_exists NAME.h5
	sd-search --dataset digits --lr 0.1 --layers-of-cells 3 --layers_in_cells 1 --init-channels 4 --epochs 1 \
		--limit-batches 1 -q
	assert_file_exists EXP.h5
	manifest NAME.h5 | grep -q '"weighting_algorithm": *"max_w"'
	manifest NAME.h5 | grep -q '"seed": *"22"'
}

@test "search: AutoAugment, the same bits on any number of threads, of colour images only" {
	colours colours.h5
	local few="--data colours.h5 --epochs 1 --init_channels 4 --layers_of_cells 3 --layers_in_cells 2 --batch_size 16
		--limit-batches 2 --cutout --context none -q"
	sd-search $few --autoaugment -o a.h5
	for i in 1 2 5; do
		sd-search $few --autoaugment --threads $i -o b.h5 --force
		cmp a.h5 b.h5
	done
	sd-search $few -o plain.h5
	assert_not_equal "$(payload a.h5)" "$(payload plain.h5)"
	manifest a.h5 | grep -q '"autoaugment": *true'
	run sd-search $SMALL --autoaugment -o x.h5
	assert_failure 64
	assert_output --partial "AutoAugment needs colour images; those of 'digits' have 1 channel"
	assert_file_not_exists x.h5
}

@test "search: what is not yet there says so" {
	for o in --unrolled --multi_channel --no_architect '--recipe rnn'; do
		run sd-search $SMALL $o -o s.h5
		assert_failure 64
		assert_output --partial "supported"
		assert_file_not_exists s.h5
	done
}

@test "search: wrong values and missing data" {
	run sd-search $SMALL --primitives none,foo -o s.h5
	assert_failure 64
	assert_output --partial foo
	run sd-search $SMALL --ops DARTS_OPS --primitives PRIMITIVES -o s.h5
	assert_failure 64
	run sd-search --data nowhere.h5 -o s.h5
	assert_failure 66
	assert_line -n 0 "sd-search: cannot open 'nowhere.h5': No such file or directory"
	run sd-search $SMALL --train_portion 0.99 -o s.h5
	assert_failure 64
	run sd-search $SMALL --warmup_epochs 5 -o s.h5
	assert_failure 64
	run sd-search $SMALL --save x -o s.h5
	assert_failure 64
	head -c 20000 digits.h5 > cut.h5
	run sd-search --data cut.h5 -o s.h5
	assert_failure 65
	assert_output --partial cut.h5
	assert_file_not_exists s.h5
	assert_file_not_exists s.h5.ckpt
}

@test "search: a stopped run goes on to the same id and bits" {
	local long="$SMALL --epochs 4 --limit-batches 8"
	sd-search $long --context none -o whole.h5
	run sd-search $long --context none -o parts.h5 --max_time 0.05
	assert_failure 75
	assert_file_exists parts.h5.ckpt
	assert_file_not_exists parts.h5
	for i in 1 2; do
		sd-search $long --context none -o parts.h5 --resume auto --max_time 0.1 || [ $? = 75 ]
	done
	sd-search $long --context none -o parts.h5 --resume auto
	assert_file_not_exists parts.h5.ckpt
	cmp whole.h5 parts.h5
}

@test "search: SIGTERM leaves a checkpoint and kills" {
	local long="$SMALL --epochs 50 --limit-batches 8"
	sd-search $long -o s.h5 2> err &
	local pid=$!
	sleep 0.5
	kill -TERM $pid
	local status=0
	wait $pid || status=$?
	assert_equal $status 143
	assert_file_exists s.h5.ckpt
	assert_file_not_exists s.h5
	run sd-derive s.h5.ckpt
	assert_failure 65
	run sd-search $long --seed 9 -o s.h5 --resume s.h5.ckpt
	assert_failure 64
	assert_output --partial "another run"
}

@test "search: the file of another run is kept unless forced" {
	sd-search $SMALL -o s.h5
	run sd-search $SMALL --seed 5 -o s.h5
	assert_failure 64
	assert_output --partial "another run"
	sd-search $SMALL -o s.h5
	sd-search $SMALL --seed 5 -o s.h5 --force
}

@test "search: --load starts with other weights and records them" {
	sd-search $SMALL -o s.h5
	sd-search $SMALL --load s.h5 -o t.h5
	manifest t.h5 | grep -q "$(artifact_id s.h5)"
	run sd-search $SMALL --init_channels 8 --load s.h5 -o u.h5
	assert_failure 65
	assert_output --partial "another shape"
}

@test "search: a loss that is not finite stops the run and names the op" {
	run sd-search $SMALL --learning_rate 1e30 --grad_clip 0 -o s.h5
	assert_failure 65
	assert_output --regexp "the loss is not finite in epoch 1, step [0-9]: .*(bn_stats|conv|mix|linear|norm)"
	assert_file_not_exists s.h5
}
