# The CUDA engine in whole runs: on a GPU where SD_TEST_GPU is set, else by the emulator's build.
load setup

setup() {
	tools=$BUILD/bin
	[ -n "${SD_TEST_GPU:-}" ] || tools=$BUILD/emu/bin
	[ -x "$tools/sd-search" ] || skip "no emulated build: make emulator"
	cd "$BATS_TEST_TMPDIR"
	digits digits.h5 -q
	small="--data digits.h5 --epochs 1 --init_channels 2 --layers 3 --batch_size 8 --limit_batches 2 -q"
}

on_gpu() {
	local tool=$1
	shift
	"$tools/$tool" "$@" --device cuda
}

@test "cuda: ten equal runs of a search, in whatever order the threads run" {
	on_gpu sd-search $small -o first.h5
	want=$(payload first.h5)
	[ -n "$want" ]
	for seed in 1 2 3 4 5 6 7 8 9; do
		SD_EMU_SEED=$seed on_gpu sd-search $small --force -o again.h5
		assert_equal "$(payload again.h5)" "$want"
	done
}

@test "cuda: steps begun together give the bits of steps begun one by one" {
	train="--arch $ROOT/genotypes/DARTS_V2.genotype --auxiliary --drop_path_prob 0.2"
	for run in "sd-search --unrolled" "sd-search --precision bf16" "sd-search --primitives SHARPER_PRIMITIVES" "sd-train $train"; do
		SD_EMU_COUNT=$PWD/together on_gpu $run $small -o together.h5 --force
		# which looks at every step, and so begins each alone
		SD_EMU_COUNT=$PWD/alone on_gpu $run $small -o alone.h5 --force --trace-nan
		want=$(payload together.h5)
		[ -n "$want" ]
		assert_equal "$(payload alone.h5)" "$want"
		[ -n "${SD_TEST_GPU:-}" ] || [ "$(cell kernels < alone)" -gt "$(($(cell kernels < together) * 2))" ]
	done
}

@test "cuda: a search and a training tell the losses that the CPU tells" {
	for tool in search train; do
		more=
		[ $tool = search ] || more="--arch $ROOT/genotypes/DARTS_V2.genotype --auxiliary --drop_path_prob 0.2 --cutout"
		on_gpu sd-$tool $small $more -o gpu.h5 --force
		"$tools/sd-$tool" $small $more --device cpu -o cpu.h5 --force
		/usr/bin/python3 -c 'import h5py' || skip "no h5py"
		/usr/bin/python3 - <<-EOS
		import h5py
		a, b = h5py.File('gpu.h5'), h5py.File('cpu.h5')
		for name in a['history']:
		    x, y = a['history'][name][()], b['history'][name][()]
		    assert abs(x - y).max() <= 1e-3 * max(1, abs(y).max()), (name, x, y)
		EOS
	done
}

@test "cuda: a second-order search runs there" {
	on_gpu sd-search $small --unrolled -o gpu.h5
	"$tools/sd-search" $small --unrolled --device cpu -o cpu.h5
	/usr/bin/python3 -c 'import h5py' || skip "no h5py"
	/usr/bin/python3 - <<-EOS
	import h5py
	a, b = h5py.File('gpu.h5')['history/valid_loss'][()], h5py.File('cpu.h5')['history/valid_loss'][()]
	assert abs(a - b).max() < 1e-3, (a, b)
	EOS
}

@test "cuda: a run that was stopped goes on to the same bits" {
	long="$small --epochs 3 --report_freq 1"
	on_gpu sd-search $long -o whole.h5
	run on_gpu sd-search $long --max_time 0.000001 -o part.h5
	assert_failure 75
	on_gpu sd-search $long --resume auto -o part.h5
	assert_equal "$(payload part.h5)" "$(payload whole.h5)"
}

@test "cuda: device, libraries and precision are in the claim" {
	on_gpu sd-search $small --precision bf16 -o b.h5
	on_gpu sd-search $small --precision fp16 -o h.h5
	on_gpu sd-search $small -o f.h5
	manifest b.h5 | tr -d " \n" | grep -q '"precision":"bf16"'
	manifest f.h5 | tr -d " \n" | grep -q '"cublaslt":"[0-9]*","cudnn":"[0-9]*","device":"[^"]*sm_[0-9]*","engine":"cuda"'
	# the rule in the claim, what followed from it in the context
	manifest f.h5 | tr -d "\n" | grep -q '"environment": *{ *"algorithms": *"cublaslt first of heuristic, workspace [0-9]*,'
	manifest f.h5 | tr -d "\n" | grep -q '"algorithms": *{ *"fp32 fp32 [0-9]*x[0-9]*x[0-9]* [nt][nt] ld [^"]*": *"id [0-9]* tile [0-9]*'
	[ "$(payload b.h5)" != "$(payload f.h5)" ]
	[ "$(payload h.h5)" != "$(payload f.h5)" ]
	run "$tools/sd-search" $small --device cpu --precision bf16 -o c.h5
	assert_failure 64
	assert_output --partial 'computes in fp32, not in bf16'
}

@test "cuda: the host waits as often in a long epoch as in a short one" {
	[ -z "${SD_TEST_GPU:-}" ] || skip "needs the emulator"
	few="$small --limit_batches 1" many="$small --limit_batches 3"
	for run in sd-search "sd-search --unrolled" "sd-search --precision fp16" \
		"sd-train --arch $ROOT/genotypes/DARTS_V2.genotype --auxiliary --drop_path_prob 0.2 --cutout"; do
		SD_EMU_COUNT=$PWD/few on_gpu $run $few -o few.h5 --force
		SD_EMU_COUNT=$PWD/many on_gpu $run $many -o many.h5 --force
		assert_equal "$(grep waits many)" "$(grep waits few)"
		[ "$(cut -f 2 many | head -n 1)" -gt "$(cut -f 2 few | head -n 1)" ]
	done
	# 360 images in 45 batches, and in 15
	for batch in 8 24; do
		SD_EMU_COUNT=$PWD/$batch on_gpu sd-eval many.h5 digits.h5 -b $batch -q -o eval-$batch.h5
	done
	assert_equal "$(grep waits 8)" "$(grep waits 24)"
}

@test "cuda: an evaluation whose loss is not finite says where it began" {
	run on_gpu sd-train $small --limit_batches 1 --arch $ROOT/genotypes/DARTS_V2.genotype --learning_rate 1e30 -o x.h5
	assert_failure 65
	assert_output --regexp 'the loss of the evaluation is not finite: step [0-9]+, [a-z_]+: a result is not finite'
	assert_file_not_exist x.h5
}

@test "cuda: a plan tells how many kernels a step begins" {
	[ -z "${SD_TEST_GPU:-}" ] || skip "counts by the emulator"
	local search="--primitives none,max_pool_3x3,skip_connect,sep_conv_3x3 --train_portion 0.95 --batch_size 32"
	local train="--arch $ROOT/genotypes/DARTS_V2.genotype --auxiliary --batch_size 32"
	for run in "sd-train 2 $train" "sd-search 4 $search" "sd-search 4 $search --unrolled"; do
		set -- $run
		tool=$1 batches=$2 # two kernels make a batch
		shift 2
		want=$(on_gpu $tool $small "$@" --profile=plan | cell launches)
		[ "$want" -gt 100 ]
		# without a device, and beside the plan of the CPU
		[ "$(SD_EMU_DEVICES=0 on_gpu $tool $small "$@" --profile=plan | cell launches)" = "$want" ]
		[ "$("$tools/$tool" $small "$@" --device cpu --profile=plan | cell cuda_launches)" = "$want" ]
		# what one step more adds, its batches included, whether it is captured or timed
		for n in 3 4; do
			SD_EMU_COUNT=$PWD/ran$n on_gpu $tool $small "$@" --limit_batches $n --force -o x.h5
			SD_EMU_COUNT=$PWD/timed$n on_gpu $tool $small "$@" --limit_batches $n --force -o x.h5 --profile > table$n
			grep -q '^# cuda, sm_[0-9]*, .* GFLOP/s and .* GB/s' table$n
		done
		assert_equal $(($(cell kernels < ran4) - $(cell kernels < ran3))) $((want + batches))
		assert_equal $(($(cell kernels < timed4) - $(cell kernels < timed3))) $((want + batches))
		assert_equal $(($(cell all 3 < table4) - $(cell all 3 < table3))) "$want"
	done
}

@test "cuda: what would change the libraries' arithmetic from outside is not heard" {
	on_gpu sd-search $small --precision tf32 -o one.h5
	NVIDIA_TF32_OVERRIDE=0 on_gpu sd-search $small --precision tf32 -o two.h5
	on_gpu sd-search $small -o fp32.h5
	assert_equal "$(payload two.h5)" "$(payload one.h5)"
	[ "$(payload fp32.h5)" != "$(payload one.h5)" ]
}

@test "cuda: there is scratch for the norm of many gradients where nothing else needs as much" {
	on_gpu sd-search $small --batch_size 2 -o x.h5
}

@test "cuda: batches that kernels cannot count are refused" {
	run on_gpu sd-train --flops --data nothing.h5 --arch $ROOT/genotypes/DARTS_V2.genotype --layers 3 \
		--batch_size 65536 --init_channels 512
	assert_failure 64
	assert_output --partial 'too large for the kernels'
}

@test "cuda: steps of full size begin no more kernels than they did" {
	[ -z "${SD_TEST_GPU:-}" ] || skip "counts by the emulator"
	SD_EMU_DEVICES=0 on_gpu sd-search --primitives DARTS_PRIMITIVES --profile=plan > search
	SD_EMU_DEVICES=0 on_gpu sd-train --arch "$ROOT/genotypes/DARTS_V2.genotype" --auxiliary --drop_path_prob 0.2 \
		--profile=plan > train
	[ "$(cell launches < search)" -le 858 ]
	[ "$(cell launches < train)" -le 415 ]
}

@test "cuda: no device, too little memory, a fault: exit status 69 and nothing half-written" {
	[ -z "${SD_TEST_GPU:-}" ] || skip "needs the emulator"
	SD_EMU_DEVICES=0 run on_gpu sd-search $small -o x.h5
	assert_failure 69
	assert_output --partial 'no CUDA device'
	run "$tools/sd-search" $small --device cuda:7 -o x.h5
	assert_failure 69
	assert_output --partial 'no CUDA device 7: there is 1'
	SD_EMU_MEMORY=4000000 run on_gpu sd-search $small --batch_size 64 -o x.h5
	assert_failure 69
	assert_output --regexp 'not enough memory: [0-9.]+ MiB .* a batch of [0-9]+ instead of 64 would fit'
	for n in 30 300 3000; do
		SD_EMU_FAIL=$n run on_gpu sd-search $small -o x.h5
		assert_failure 69
		assert_output --partial 'CUDA: '
	done
	run ls
	assert_output digits.h5
}

@test "cuda: every program that can open the engine has what the engine takes from it" {
	nm -D --undefined-only "$tools/../lib/sharpdarts/engine-cuda.so" | awk '$2 ~ /^sd_/ { print $2 }' | sort > taken
	assert_file_not_empty taken
	for program in "$BUILD"/bin/sd-* "$BUILD"/tests/*; do
		nm -D --defined-only "$program" 2>/dev/null | awk '{ print $3 }' | sort > has
		grep -qx sd_plugin_cuda has || continue
		assert_equal "$(comm -23 taken has | sed "s|^|${program##*/} |")" ''
		echo "$program" >> programs
	done
	assert_file_not_empty programs
}

@test "cuda: without the engine --device cuda is a clear error, and auto is the CPU" {
	mkdir bin
	cp "$BUILD/bin/sd-search" bin/
	run bin/sd-search $small --device cuda -o x.h5
	assert_failure 69
	assert_output --partial 'no CUDA engine'
	bin/sd-search $small -o x.h5
	manifest x.h5 | tr -d " \n" | grep -q '"engine":"cpu"'
}
