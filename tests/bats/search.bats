load setup

# A search that takes a fraction of a second.
SMALL="--data digits.h5 --epochs 2 --init_channels 4 --layers_of_cells 3 --layers_in_cells 2 --batch_size 64
	--limit-batches 3 -q"

setup() {
	cd "$BATS_TEST_TMPDIR"
	digits digits.h5 -q
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

@test "search: the same bits on processors without AVX-512 and without AVX2, which stop at its instructions" {
	command -v qemu-x86_64 > /dev/null || skip 'no qemu-x86_64'
	small="--data digits.h5 --context none -q --epochs 1 --limit-batches 2 --batch_size 8 --init_channels 1 --layers 1
		--layers_in_cells 1 --primitives none,skip_connect,max_pool_3x3,sep_conv_3x3"
	sd-search $small -o a.h5
	for cpu in Haswell Nehalem; do
		run qemu-x86_64 -cpu $cpu "$(command -v sd-search)" $small -o b.h5 --force
		# A sanitizer cannot have the addresses that it wants in an emulated process.
		[[ "$output" != *Sanitizer* ]] || skip 'sanitizers do not run in qemu-x86_64'
		assert_success
		cmp a.h5 b.h5
	done
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
	for o in --multi_channel '--final_path x' '--recipe rnn'; do
		run sd-search $SMALL $o -o s.h5
		assert_failure 64
		assert_output --partial "supported"
		assert_file_not_exists s.h5
	done
}

@test "search: second order, the same bits on any number of threads, stopped and gone on with" {
	sd-search $SMALL --unrolled --context none -o a.h5
	for i in 1 5; do
		sd-search $SMALL --unrolled --context none --threads $i -o b.h5 --force
		cmp a.h5 b.h5
	done
	sd-search $SMALL -o first.h5
	assert_not_equal "$(payload a.h5)" "$(payload first.h5)"
	manifest a.h5 | grep -q '"unrolled": *true'
	local long="$SMALL --epochs 3 --unrolled"
	sd-search $long --context none -o whole.h5
	run sd-search $long --context none -o parts.h5 --max_time 0.000001
	assert_failure 75
	sd-search $long --context none -o parts.h5 --resume auto
	cmp whole.h5 parts.h5
	run sd-search $SMALL --unrolled --no_architect -o x.h5
	assert_failure 64
	python_h5 <<-'EOS'
	import h5py
	f = h5py.File('a.h5', 'r')
	# four forward passes on the training batch in each of 2 x 3 steps, none that counts on the other
	assert f['state/stem.1.num_batches_tracked'][()] == 24
	assert not any('scratch' in n for n in f)
	EOS
}

@test "search: a short last batch, second order" {
	sd-search --data digits.h5 --epochs 1 --init_channels 2 --layers_of_cells 2 --layers_in_cells 1 \
		--primitives skip_connect,max_pool_3x3,sep_conv_3x3 --batch_size 500 --unrolled -q -o s.h5
	python_h5 <<-'EOS'
	import h5py
	assert h5py.File('s.h5', 'r')['optimizer/adam_t'][()] == 2
	EOS
}

@test "search: the architecture as weights" {
	sd-search $SMALL --no_architect -o s.h5
	python_h5 <<-'EOS'
	import h5py, numpy as np
	f = h5py.File('s.h5', 'r')
	assert 'arch_loss' not in f['history'] and 'adam_t' not in f['optimizer']
	assert abs(f['optimizer/momentum/alphas_normal'][:]).max() > 0
	assert (f['alphas/normal'][0] != f['alphas/normal'][1]).any()
	assert f['state/stem.1.num_batches_tracked'][()] == 6
	EOS
	# the alphas are among the weights that --load takes, and only then
	sd-search $SMALL --no_architect --lr 0 --learning_rate_min 0 --load s.h5 -o again.h5
	sd-search $SMALL --arch_learning_rate 0 --lr 0 --learning_rate_min 0 --load s.h5 -o fresh.h5
	python_h5 <<-'EOS'
	import h5py
	a, b, c = (h5py.File(n, 'r')['alphas_last/normal'][:] for n in ('s.h5', 'again.h5', 'fresh.h5'))
	assert (a == b).all() and (a != c).any()
	EOS
}

@test "search: a user's own primitives" {
	sd-search $SMALL --primitives sep_conv_3x3,skip_connect -o s.h5
	run sd-derive s.h5
	assert_success
	assert_output --partial sep_conv_3x3
	run sd-search $SMALL --primitives none -o x.h5
	assert_failure 64
	assert_output --partial "nothing to search for"
}

@test "search: genotypes, skip connections and entropies of every epoch" {
	sd-search $SMALL -o s.h5 --primitives DARTS_PRIMITIVES --arch_learning_rate 0.5
	sd-derive --all s.h5 > all.tsv
	python_h5 <<-'EOS'
	import h5py, numpy as np
	f = h5py.File('s.h5', 'r')
	genotypes = [g.decode() for g in f['genotypes'][:]]
	derived = [l.split('\t')[1] for l in open('all.tsv').read().splitlines()[1:]]
	assert genotypes == derived, (genotypes, derived)
	for c in 'normal', 'reduce':
	    w = f['weights'][c][:].astype(float)
	    h = -(w * np.log(w)).sum(-1)
	    assert abs(f['entropy'][c][:] - h).max() < 1e-12
	    assert abs(f['history/entropy_' + c][:] - h.mean(-1)).max() < 1e-12
	    part = [g.split(c + '=')[1].split(c + '_concat')[0] for g in genotypes]
	    assert list(f['history/skips_' + c][:]) == [p.count('skip_connect') for p in part]
	assert f['stopped_on_skips'][()] == 0
	EOS
}

@test "search: --stop_on_skips ends it as a complete run" {
	local skips="$SMALL --epochs 4 --primitives skip_connect,none,sep_conv_3x3 --layers_in_cells 3"
	run sd-search ${skips/-q/} --stop_on_skips 1 -o s.h5
	assert_success
	assert_output --partial "skip connections or more in the normal cell: the search ends here"
	sd-verify s.h5
	manifest s.h5 | grep -q '"complete": *true'
	python_h5 <<-'EOS'
	import h5py
	f = h5py.File('s.h5', 'r')
	skips = f['history/skips_normal'][:]
	assert len(skips) < 4 and skips[-1] >= 1 and (skips[:-1] < 1).all(), skips
	assert f['stopped_on_skips'][()] == 1 and len(f['genotypes']) == len(skips)
	EOS
	sd-derive s.h5
}

@test "search: --load_args takes the parameters of another search, but for those given" {
	sd-search $SMALL --weighting_algorithm max_w --cutout --seed 7 --primitives skip_connect,sep_conv_3x3 \
		--warmup_epochs 0 --context none -o a.h5
	sd-search --load_args a.h5 --data digits.h5 -q --context none -o b.h5
	cmp a.h5 b.h5
	sd-search --load_args a.h5 --data digits.h5 -q --seed 8 --cutout=false -o c.h5
	manifest c.h5 > c.json
	grep -q '"seed": *"8"' c.json
	grep -q '"cutout": *false' c.json
	grep -q '"weighting_algorithm": *"max_w"' c.json
	run sd-search --load_args digits.h5 --data digits.h5 -o d.h5
	assert_failure 65
	assert_output --partial "cannot take the parameters of 'digits.h5': its parameters are those of sd-prep"
	run sd-search --load_args nowhere.h5 --data digits.h5 -o d.h5
	assert_failure 66
}

@test "search: --evaluate prints how good a search's network is and searches for nothing" {
	sd-search $SMALL -o s.h5
	run sd-search --load_args s.h5 --limit_batches 0 --evaluate s.h5 --data digits.h5
	assert_success
	assert_line -n 0 "$(printf 'split\timages\tloss\ttop1\ttop5')"
	assert_line -n 1 --regexp '^train	7[0-9]*	[0-9.]*	[0-9.]*	[0-9.]*$'
	assert_line -n 2 --regexp '^valid	'
	assert_line -n 3 --regexp '^test	'
	assert_file_not_exists EXP.h5
	run sd-search $SMALL --init_channels 8 --evaluate s.h5
	assert_failure 65
	run sd-search $SMALL --primitives none,skip_connect --evaluate s.h5
	assert_failure 65
	run sd-search $SMALL --evaluate digits.h5
	assert_failure 65
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

@test "search: a step, of either order, runs what its plan has; the profile leaves a stream alone" {
	local run="--data digits.h5 --epochs 1 --init_channels 4 --layers_of_cells 3 --layers_in_cells 2 --train_portion 0.9
		--batch_size 128 --primitives none,skip_connect,sep_conv_3x3 -q"
	for order in '' --unrolled --no_architect; do
		want=$(sd-search $run $order --profile=plan --device cpu | cell ops)
		for n in 4 6; do
			sd-search $run $order --limit_batches $n --profile=families,rate=1,bandwidth=1 -o x.h5 --force > table$n
		done
		assert_equal $(($(cell all 2 < table6) - $(cell all 2 < table4))) $((2 * want))
	done
	sd-search $run --limit_batches 2 --profile -o - > stream.h5 2> table
	[ "$(cell all 2 < table)" -gt 0 ]
	sd-verify stream.h5
}
