load setup

# Stopped runs of both tools go on to the bits of a run that never stopped, and a run may begin where
# another one ended.

TRAIN="sd-train --arch DARTS_V2 --data digits.h5 --epochs 8 --init_channels 4 --layers 3 --batch_size 32
	--limit-batches 12 --context none --checkpoint_seconds 0 -q"
SEARCH="sd-search --data digits.h5 --primitives DARTS_PRIMITIVES --epochs 8 --init_channels 2 --layers 2
	--layers_in_cells 2 --batch_size 32 --limit-batches 8 --context none --checkpoint_seconds 0 -q"

setup() {
	cd "$BATS_TEST_TMPDIR"
	digits digits.h5 -q
}

# killed SIGNAL SECONDS COMMAND...: runs it and kills it after so long; its status in $status.
killed() {
	local signal=$1 after=$2 pid
	shift 2
	"$@" &
	pid=$!
	sleep "$after"
	kill -"$signal" $pid 2> /dev/null || true
	status=0
	wait $pid || status=$?
}

# The checkpoint that is there, whichever it is: a new one is another file.
checkpoint() {
	stat -c '%i %y' parts.h5.ckpt 2> /dev/null || true
}

# killed_later SIGNAL SECONDS COMMAND...: kills it so long after it has written a checkpoint, status in $status.
killed_later() {
	local signal=$1 after=$2 before pid
	shift 2
	before=$(checkpoint)
	"$@" &
	pid=$!
	while kill -0 $pid 2> /dev/null && [ "$(checkpoint)" = "$before" ]; do
		sleep 0.005
	done
	sleep "$after"
	kill -"$signal" $pid 2> /dev/null || true
	status=0
	wait $pid || status=$?
}

# kills COMMAND...: at its start, and by every signal at several points of several epochs, until it is done; it
# must be the same file as whole.h5.
kills() {
	local n=0 hit=0 signal
	"$@" -o whole.h5
	killed KILL 0.02 "$@" -o parts.h5 --resume auto
	for signal in KILL TERM KILL USR1; do
		killed_later $signal 0.0$((2 * n)) "$@" -o parts.h5 --resume auto
		case $signal,$status in
		KILL,137 | TERM,143 | USR1,75) hit=$((hit + 1)) ;;
		*,0) break ;; # was done before
		*)
			echo "SIG$signal: status $status"
			return 1
			;;
		esac
		n=$((n + 1))
	done
	"$@" -o parts.h5 --resume auto
	cmp whole.h5 parts.h5
	assert_file_not_exists parts.h5.ckpt
	[ $hit -ge 2 ]
}

@test "resume: a training that is killed at several points ends in the same file" {
	kills $TRAIN
}

@test "resume: a search that is killed at several points ends in the same file" {
	kills $SEARCH
}

@test "resume: SIGKILL in mid-epoch goes on from the last epoch's checkpoint" {
	$TRAIN --epochs 40 -o whole.h5
	$TRAIN --epochs 40 -o parts.h5 &
	local pid=$!
	for _ in $(seq 200); do
		[ ! -e parts.h5.ckpt ] || break
		sleep 0.02
	done
	kill -KILL $pid
	wait $pid || true
	assert_file_exists parts.h5.ckpt
	assert_file_not_exists parts.h5
	manifest parts.h5.ckpt | grep -q '"complete": *false'
	$TRAIN --epochs 40 -o parts.h5 --resume parts.h5.ckpt
	cmp whole.h5 parts.h5
}

@test "resume: SIGTERM leaves a checkpoint and kills; what is not complete is refused" {
	killed TERM 0.6 $TRAIN --epochs 400 -o m.h5
	assert_equal $status 143
	killed TERM 0.6 $SEARCH --epochs 400 -o s.h5
	assert_equal $status 143
	assert_equal "$(ls)" $'digits.h5\nm.h5.ckpt\ns.h5.ckpt'
	run sd-eval m.h5.ckpt digits.h5
	assert_failure 65
	assert_output --partial 'not complete'
	sd-eval --partial m.h5.ckpt digits.h5 --weights last > out
	run sd-derive s.h5.ckpt
	assert_failure 65
	run $SEARCH --seed 9 -o s.h5 --resume s.h5.ckpt
	assert_failure 64
	assert_output --partial 'another run'
}

@test "resume: SIGUSR1 in mid-epoch ends with status 75 and a checkpoint of that step" {
	killed USR1 0.6 $TRAIN --epochs 400 --limit-batches 0 -o m.h5
	assert_equal $status 75
	python_h5 <<-'EOS'
	import h5py
	f = h5py.File('m.h5.ckpt', 'r')
	n = f['progress/steps_done'][()]
	assert f["progress/sums/train"][3] == min(32 * n, 1437), (n, f['progress/sums/train'][:])
	EOS
}

@test "resume: other parameters begin a new run, with the checkpoint as its input" {
	run $TRAIN -o a.h5 --max_time 0.000001
	assert_failure 75
	run sd-train ${TRAIN#sd-train} -o b.h5 --resume a.h5.ckpt --epochs 2 --learning_rate 0.001 --restart_lr
	assert_success
	local id
	id=$(artifact_id a.h5.ckpt)
	manifest b.h5 | tr -d ' \n' | grep -q "\"resume\":{\"id\":\"$id\",\"kind\":\"model\""
	sd-verify b.h5
	sd-verify --chain b.h5
	# stopped and run again, it goes on by itself
	run $TRAIN -o c.h5 --resume a.h5.ckpt --epochs 2 --learning_rate 0.001 --restart_lr --max_time 0.000001
	assert_failure 75
	$TRAIN -o c.h5 --resume a.h5.ckpt --epochs 2 --learning_rate 0.001 --restart_lr
	cmp b.h5 c.h5
	# but nothing of another run is taken for a continuation
	run $TRAIN -o a.h5 --resume auto --learning_rate 0.001
	assert_failure 64
	assert_output --partial "checkpoint of another run"
	run $TRAIN -o d.h5 --restart_lr
	assert_failure 64
}

@test "resume: epochs, their numbers and the learning rates of a new run" {
	local small="$TRAIN --limit-batches 2"
	$small --epochs 4 -o a.h5
	run $small --epochs 4 -o b.h5 --resume a.h5
	assert_failure 64
	assert_output --partial "complete"
	$small --epochs 4 --start_epoch 5 -o b.h5 --resume a.h5
	$small --epochs 3 -o c.h5 --resume a.h5
	$small --epochs 3 --restart_lr -o d.h5 --resume a.h5
	sd-lr --epochs 8 --lr 0.025 --min_lr 1e-8 --exponent_order 2 --warmup_epochs 2 > eight
	sd-lr --epochs 7 --lr 0.025 --min_lr 1e-8 --exponent_order 2 --warmup_epochs 1 > seven
	sd-lr --epochs 3 --lr 0.025 --min_lr 1e-8 --exponent_order 2 --warmup_epochs 1 > three
	python_h5 <<-'EOS'
	import h5py, numpy as np
	def lr(f):
	    rows = [l.split('\t') for l in open(f)]
	    return np.array([float(r[rows[0].index('lr')]) for r in rows[1:]])
	def h(f, c): return h5py.File(f, 'r')['history/' + c][:]
	np.testing.assert_allclose(h('b.h5', 'lr'), lr('eight')[4:], rtol=1e-12)
	np.testing.assert_allclose(h('c.h5', 'lr'), lr('seven')[4:], rtol=1e-12)
	np.testing.assert_allclose(h('d.h5', 'lr'), lr('three'), rtol=1e-12)
	np.testing.assert_allclose(h('c.h5', 'drop_path_prob'), 0.2 * np.array([5, 6, 7]) / 7)
	assert h5py.File('c.h5', 'r')['best_epoch'][()] in (5, 6, 7)
	EOS
}

@test "resume: a whole run and one in two parts of the same rates are the same training" {
	# weights, statistics and momenta go over, and epochs keep their numbers, by which images are augmented
	local one="$TRAIN --learning_rate 0.01 --learning_rate_min 0.01 --warmup_epochs 0 --drop_path_prob 0"
	$one --epochs 4 -o whole.h5
	$one --epochs 2 -o first.h5
	$one --epochs 2 --start_epoch 3 -o second.h5 --resume first.h5
	python_h5 <<-'EOS'
	import h5py
	a, b = h5py.File('whole.h5', 'r'), h5py.File('second.h5', 'r')
	for folder in 'state', 'optimizer/momentum':
	    for k in a[folder]:
	        assert (a[folder][k][()] == b[folder][k][()]).all(), k
	assert (a['history/train_loss'][2:] == b['history/train_loss'][:]).all()
	EOS
}

@test "resume: a search begins at another one's weights, alphas and optimisers" {
	$SEARCH --epochs 2 -o a.h5
	$SEARCH --epochs 2 --arch_learning_rate 0 --learning_rate 0 --learning_rate_min 0 --restart_lr -o b.h5 --resume a.h5
	python_h5 <<-'EOS'
	import h5py
	a, b = h5py.File('a.h5', 'r'), h5py.File('b.h5', 'r')
	assert (a['alphas/normal'][-1] == b['alphas/normal'][0]).all()
	assert (a['state/stem.0.weight'][:] == b['state/stem.0.weight'][:]).all()
	assert b['optimizer/adam_t'][()] == 2 * a['optimizer/adam_t'][()]
	EOS
	run $TRAIN -o c.h5 --resume a.h5
	assert_failure 65
	assert_output --partial "an artifact of kind search where a model was expected"
}

@test "resume: --load takes the best weights alone" {
	$TRAIN --epochs 2 -o a.h5
	$TRAIN --epochs 1 --learning_rate 0 --learning_rate_min 0 --load a.h5 -o b.h5
	python_h5 <<-'EOS'
	import h5py
	a, b = h5py.File('a.h5', 'r'), h5py.File('b.h5', 'r')
	assert (a['state_best/stem.0.weight'][:] == b['state/stem.0.weight'][:]).all()
	EOS
	run $TRAIN --epochs 2 --learning_rate 0.1 --load a.h5 --resume a.h5 -o c.h5
	assert_failure 64
	assert_output --partial "both say"
}

@test "resume: a damaged checkpoint is refused" {
	run $TRAIN -o a.h5 --max_time 0.000001
	assert_failure 75
	flip a.h5.ckpt 20000
	run $TRAIN -o a.h5 --resume auto
	assert_failure 65
	assert_output --partial a.h5.ckpt
	truncate -s 3000 a.h5.ckpt
	run $TRAIN -o a.h5 --resume auto
	assert_failure 65
}

@test "resume: a job for Slurm puts itself back into the queue until it is done" {
	local long="${TRAIN#sd-train} --epochs 60" status
	printf '%s\n' '#!/bin/sh' 'echo "$*" >> queue' > scontrol
	chmod +x scontrol
	PATH=$PWD:$PATH
	export SLURM_JOB_ID=17
	sd-train $long -o whole.h5
	for n in 1 2 3; do
		killed USR1 0.7 bash "$ROOT/pipelines/train.slurm" $long -o job.h5
		assert_equal $status 0
		[ ! -e job.h5 ] || break
		assert_file_exists job.h5.ckpt
		assert_equal "$(wc -l < queue)" $n
	done
	assert_equal "$(head -n 1 queue)" "requeue 17"
	bash "$ROOT/pipelines/train.slurm" $long -o job.h5
	cmp whole.h5 job.h5
	run bash "$ROOT/pipelines/train.slurm" --no-such-option
	assert_failure 64
}

@test "resume: --max_time in a loop, as the man page has it" {
	local n tool
	for tool in "$TRAIN" "$SEARCH"; do
		$tool -o whole.h5 --force
		n=0
		until $tool --max_time 0.000001 --resume auto -o m.h5; do
			[ $? = 75 ]
			assert_file_not_exists m.h5
			n=$((n + 1))
			[ $n -lt 200 ]
		done
		[ $n -ge 1 ]
		cmp whole.h5 m.h5
		rm m.h5
	done
}

@test "resume: what is complete is left alone" {
	local tool
	for tool in "$TRAIN" "$SEARCH"; do
		tool="${tool/ -q/} --epochs 2"
		$tool -o m.h5 --force 2> /dev/null
		cp -p m.h5 before.h5
		run $tool -o m.h5 --resume auto
		assert_success
		assert_output --partial "'m.h5' is this run's and complete: there is nothing to do"
		[ ! m.h5 -nt before.h5 ]
		cmp m.h5 before.h5
		run $tool -o m.h5 --resume auto --seed 5
		assert_failure 64
		assert_output --partial "is of another run"
	done
}

@test "resume: a run that would only repeat another one says so" {
	local few="${TRAIN#sd-train} --epochs 1 --limit-batches 1"
	few=${few/ -q/}
	sd-train $few -o a.h5 2> log
	run grep repeat log
	assert_failure
	for output in "-o b.h5" "--save c" "-o ./a.h5"; do
		run sd-train $few $output
		assert_success
		assert_output --partial "a.h5' is of the same recipe and seed: this run will repeat it, bit for bit"
	done
	run sd-train $few --seed 1 -o d.h5
	assert_success
	refute_output --partial repeat
	run sd-train $few --learning_rate 0.1 -o e.h5
	assert_success
	refute_output --partial repeat
	mkdir f
	cp a.h5 f
	truncate -s 9000 f/a.h5
	run sd-train $few -o f/b.h5
	assert_success
	refute_output --partial repeat
	for i in 1 2; do
		run sd-search --data digits.h5 --epochs 1 --init_channels 2 --layers_of_cells 2 --layers_in_cells 1 \
			--batch_size 16 --limit-batches 1 -o search-$i.h5
		assert_success
	done
	assert_output --partial "search-1.h5' is of the same recipe and seed: this run will repeat it, bit for bit"
	for i in 1 2; do
		run sd-eval a.h5 digits.h5 -o eval-$i.h5
		assert_success
	done
	assert_output --partial "eval-1.h5' is of the same recipe and seed: this run will repeat it, bit for bit"
	run sd-eval b.h5 digits.h5 --weights last -o eval-3.h5
	refute_output --partial repeat
	run sd-prep digits "$DIGITS" -o again.h5
	assert_success
	assert_output --partial "digits.h5' is of the same recipe and seed: this run will repeat it, bit for bit"
	run sd-prep digits "$DIGITS" --limit-train 7 -o less.h5
	refute_output --partial repeat
}
