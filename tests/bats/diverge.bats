# Where two runs part: the trace in their artifacts, one step in full, and that both say the same on any number of
# threads, any code path, and after a stop.

load setup

SEARCH="sd-search --data data.h5 --primitives DARTS_PRIMITIVES --epochs 3 --init_channels 2 --layers 2
	--layers_in_cells 1 --batch_size 32 --limit-batches 6 -q --force"
TRAIN="sd-train --arch DARTS_V2 --data data.h5 --epochs 4 --init_channels 4 --layers 3 --batch_size 32
	--limit-batches 5 -q --force"

# first_step FILE FILE: the step from which on they differ.
first_step() {
	sd-verify --first-divergence "$1" "$2" | sed -n 's/^different from step \([0-9]*\) .*/\1/p'
}

@test "equal runs have equal traces, however they were run" {
	digits data.h5 -q
	$SEARCH -o a.h5
	$SEARCH -o b.h5 --threads 1
	run sd-verify --first-divergence a.h5 b.h5
	assert_success
	assert_output 'equal through step 18 (epoch 3, batch 6 of 6), the last
claims: equal but for what came out'
	SD_CPU=generic $SEARCH -o b.h5
	run sd-verify --first-divergence a.h5 b.h5
	assert_success
	# stopped in the middle of an epoch, and gone on with
	run $SEARCH -o b.h5 --max_time 0.000001
	assert_failure 75
	$SEARCH -o b.h5 --resume auto
	run sd-verify --first-divergence a.h5 b.h5
	assert_success
	assert_line -n 0 'equal through step 18 (epoch 3, batch 6 of 6), the last'
	# a checkpoint goes as far as it goes
	run $SEARCH -o c.h5 --max_time 0.000001
	run sd-verify --first-divergence a.h5 c.h5.ckpt
	assert_success
	assert_line -n 0 --partial ', where c.h5.ckpt ends'
}

@test "the digest can be worked out again from what is beside it" {
	/usr/bin/python3 -c 'import h5py, numpy' 2> /dev/null || skip 'no h5py'
	digits data.h5 -q
	$SEARCH -o s.h5
	$TRAIN -o m.h5
	$SEARCH --no_architect -o n.h5
	/usr/bin/python3 - s.h5 m.h5 n.h5 <<-'EOS'
	import h5py, numpy as n, struct, sys
	M = (1 << 64) - 1
	def mix(x):
	    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9 & M
	    x = (x ^ x >> 27) * 0x94d049bb133111eb & M
	    return x ^ x >> 31
	K = n.array([mix((k + 1) * 0x9e3779b97f4a7c15 & M) >> 32 for k in range(64)], 'u4')
	def fingerprint(b):
	    h = len(b)
	    for w in (n.frombuffer(b + bytes(-len(b) % 256), '<u4').reshape(-1, 64) + K).astype('u8'):
	        h = mix(h + int((w[:32] * w[32:]).sum(dtype='u8')) & M)
	    return h
	def of(words): return fingerprint(b''.join(struct.pack('<Q', int(x)) for x in words))
	def bits(x): return struct.unpack('<Q', struct.pack('<d', x))[0]
	for name in sys.argv[1:]:
	    f = h5py.File(name)
	    t, state = f['trace'], {}
	    f['state'].visititems(lambda k, o: state.update({k: o}) if isinstance(o, h5py.Dataset) else None)
	    words = [t['digest'][-2]]
	    if 'alphas' in t:
	        a = of([fingerprint(f['alphas_last'][k][()].tobytes()) for k in ('normal', 'reduce')])
	        assert a == t['alphas'][-1], name
	        words.append(a)
	    words.append(of([fingerprint(state[k][()].tobytes()) for k in sorted(state, key=str.encode)]))
	    if 'arch_loss' in t:
	        words.append(bits(t['arch_loss'][-1]))
	    words.append(bits(t['loss'][-1]))
	    assert of(words) == t['digest'][-1], name
	    steps = t['epoch_steps'][()]
	    # the epochs' means of the history are those of the steps
	    mean = t['loss'][1:].reshape(-1, steps).mean(1)
	    assert n.allclose(mean, f['history/train_loss'][()], rtol=1e-12), name
	EOS
}

@test "a rate that is another one from the second epoch on" {
	digits data.h5 -q
	$TRAIN --schedule warm_restarts --warm_restarts 3 -o a.h5
	$TRAIN --schedule warm_restarts --warm_restarts 4 -o b.h5
	run sd-verify --first-divergence a.h5 b.h5
	assert_failure 1
	assert_line -n 0 'equal through step 5 (epoch 1, batch 5 of 5)'
	assert_line -n 1 'different from step 6 (epoch 2, batch 1 of 5) on: the weights, all losses being equal'
	assert_line -n 2 "$(printf '\ta.h5\tb.h5')"
	assert_line 'claims: different in warm_restarts'
	for step in 5 6; do
		$TRAIN --schedule warm_restarts --warm_restarts 3 --trace_step $step > a.$step
		$TRAIN --schedule warm_restarts --warm_restarts 4 --trace_step $step > b.$step
	done
	cmp a.5 b.5
	# of all that the step begins with, the rate alone
	diff a.6 b.6 | sed -n 's/^< //p' > differ
	assert_equal "$(grep '^before' differ | cut -f 2)" lr
	assert_equal "$(grep -c '^batch\|^op.*conv' differ)" 0
	grep -q '^after' differ
}

@test "one bit of one pixel: the step and the batch that it is in" {
	colours data.h5
	$TRAIN -o a.h5
	$TRAIN --trace_step 1 > a.1
	flip cifar-10-batches-bin/data_batch_2.bin 12000
	sd-prep cifar10 cifar-10-batches-bin -o data.h5 --force -q
	$TRAIN -o b.h5
	step=$(first_step a.h5 b.h5)
	assert [ "$step" -ge 1 ]
	sd-verify --first-divergence a.h5 b.h5 | grep -q 'input data'
	if [ "$step" -gt 1 ]; then
		$TRAIN --trace_step 1 | cmp - a.1
	fi
	$TRAIN --trace_step "$step" > b.step
	flip cifar-10-batches-bin/data_batch_2.bin 12000
	sd-prep cifar10 cifar-10-batches-bin -o data.h5 --force -q
	$TRAIN --trace_step "$step" > a.step
	assert_equal "$(diff a.step b.step | sed -n 's/^< //p' | head -n 1 | cut -f 1,2)" "$(printf 'batch\t1 input/x')"
}

@test "with --rerun the first thing that differs in the step is named" {
	digits data.h5 -q
	$TRAIN --schedule warm_restarts --warm_restarts 3 -o a.h5
	$TRAIN --schedule warm_restarts --warm_restarts 4 -o b.h5
	run sd-verify --first-divergence --rerun a.h5 b.h5
	assert_failure 1
	assert_line 'a.h5: run again, as recorded'
	assert_line 'b.h5: run again, as recorded'
	assert_line --regexp '^first in step 6: before lr \([0-9]+ of [0-9]+ lines differ\)$'
	# the data set is made again from the digits
	mkdir other
	mv data.h5 other
	run sd-verify --first-divergence --rerun --search_path "${DIGITS%/*}" a.h5 b.h5
	assert_failure 1
	assert_line --partial 'first in step 6: before lr'
	# a search, whose alphas differ first
	digits data.h5 -q
	$SEARCH -o a.h5
	$SEARCH -o b.h5 --arch_learning_rate 0.01
	run sd-verify --first-divergence --rerun --threads 2 a.h5 b.h5
	assert_failure 1
	assert_line 'different from step 1 (epoch 1, batch 1 of 6) on: the alphas, the loss they move by being equal'
	assert_line --partial 'first in step 1: before arch_lr'
	run sd-verify --first-divergence --rerun a.h5 a.h5
	assert_success
	run sd-verify --first-divergence --rerun --runs x a.h5 b.h5
	assert_failure 2
}

@test "what cannot be compared is said" {
	digits data.h5 -q
	$TRAIN -o a.h5
	run sd-verify --first-divergence a.h5
	assert_failure 2
	assert_output --partial 'takes 2 artifacts, not 1'
	run sd-verify --first-divergence a.h5 data.h5
	assert_failure 2
	assert_output --partial 'a.h5 is a model and data.h5 a dataset artifact'
	run sd-verify --first-divergence data.h5 data.h5
	assert_failure 2
	assert_output --partial 'data.h5: it has no trace'
	cp a.h5 b.h5
	flip b.h5 5000
	run sd-verify --first-divergence a.h5 b.h5
	assert_failure 2
	assert_output --partial 'b.h5'
	for wrong in 0x 21 -1; do
		run $TRAIN --trace_step $wrong
		assert_failure 64
		assert_output --partial step
	done
	run $TRAIN --trace_step 20 -o none.h5
	assert_success
	assert_file_not_exists none.h5
}
