# Making artifacts again: sd-verify --rerun, --diff, --script, --cite.

bats_require_minimum_version 1.5.0
load setup

stderr= # of run --separate-stderr

SEARCH='--epochs 2 --init_channels 4 --layers_of_cells 2 --layers_in_cells 2 --limit-batches 2 -q'
TRAIN='--epochs 2 --init_channels 4 --layers 3 --limit-batches 2 -q'

# A small study, made once: raw/ with the archive, and an artifact of each kind.
setup_file() {
	cd "$BATS_FILE_TMPDIR"
	mkdir -p study/raw
	cd study
	cp "$DIGITS" raw/
	sd-prep digits raw/digits.csv.gz -q -o d.h5
	sd-search --data d.h5 $SEARCH -o s.h5
	sd-derive s.h5 --name FOUND -o g.genotype
	sd-train --data d.h5 --arch ./g.genotype $TRAIN -o m.h5
	sd-eval -q m.h5 d.h5 -o e.h5 > /dev/null
}

# study: a copy of it in the present folder; $TMPDIR is a folder in which nothing may be left.
study() {
	cp -r "$BATS_FILE_TMPDIR/study/." .
	mkdir temporary
	export TMPDIR=$PWD/temporary
}

teardown() {
	[ -z "${TMPDIR:-}" ] || [ ! -d "$TMPDIR" ] || [ -z "$(ls "$TMPDIR")" ]
}

# forge IN OUT SED: another claim or context in a genotype, under a seal that fits.
forge() {
	sed "0,/^# sd-manifest/{/^# sd-manifest/{$3}}" "$1" > "$2"
	local seal
	seal=$(grep -m 1 '^# sd-manifest' "$2" | sed 's/^# sd-manifest //' | tr -d '\n' | sha256sum | cut -c 1-64)
	sed -i "s/^# sd-seal .*/# sd-seal $seal/" "$2"
	! cmp -s "$1" "$2"
	sd-verify -q "$2"
}

# A folder bin/ with the tools, in which FAKE is a script that has $real for the true one.
fake_tool() {
	mkdir bin
	ln "$BUILD"/bin/sd-* bin/ 2> /dev/null || cp "$BUILD"/bin/sd-* bin/
	rm "bin/$1"
	{
		echo '#!/bin/sh'
		echo "real=$BUILD/bin/$1"
		echo 'case $1 in --version | --synopsis) exec "$real" "$1" ;; esac'
		cat
	} > "bin/$1"
	chmod +x "bin/$1"
}

# A copy of the tree and what was built from it, with one constant changed and what that needs built again.
other_source() {
	mkdir other
	tar -C "$ROOT" -cf - Makefile VERSION mk lib tools kernels | tar -C other -xf -
	mkdir other/build
	tar -C "$BUILD" -cf - --exclude=./tests --exclude=./emu --exclude=./bundle . | tar -C other/build -xf -
	sed -i "$2" "other/$1"
	! cmp -s "other/$1" "$ROOT/$1"
	cp other/build/flags flags
	make -s -C other BUILD=build build/flags
	cmp -s flags other/build/flags || skip 'other flags than the last time: all would have to be compiled'
	make -s -C other BUILD=build build/bin/sd-prep build/bin/sd-search build/bin/sd-derive build/bin/sd-train \
		build/bin/sd-eval build/bin/sd-verify
}

@test "rerun: every kind of artifact is the same bits again" {
	study
	run -0 --separate-stderr sd-verify --rerun d.h5 s.h5 g.genotype m.h5 e.h5
	for f in d.h5 s.h5 g.genotype m.h5 e.h5; do
		assert_line "$f: BITWISE"
	done
	assert_equal "$(grep -c 'source: as recorded' <<< "$output")" 5
	assert_equal "$(grep -c '  payload: [0-9a-f]\{64\}' <<< "$output")" 5
	# what a tool says goes by on standard error
	[[ $stderr == *'sd-train: epoch 2/2'* ]]
	run -0 sd-verify --rerun -q e.h5
	assert_output 'e.h5: BITWISE'
	run -0 bash -c 'sd-verify --rerun -q - < g.genotype'
	assert_output '(stdin): BITWISE'
	run -0 sd-verify --rerun -q --threads 1 s.h5
	assert_output 's.h5: BITWISE'
}

@test "rerun: a whole study from the raw file on" {
	study
	mkdir lone
	mv e.h5 lone
	mv raw/digits.csv.gz raw/renamed
	rm -f ./*.h5 ./*.genotype
	run -0 sd-verify --rerun --chain -q --search-path raw lone/e.h5
	assert_equal "$(cut -f 1,2,3 <<< "$output")" "verdict	kind	tool
BITWISE	dataset	sd-prep
BITWISE	search	sd-search
BITWISE	genotype	sd-derive
BITWISE	model	sd-train
BITWISE	eval	sd-eval"
	run -0 sd-verify --rerun --chain -q --search-path raw --format json lone/e.h5
	assert_equal "$(grep -c '"verdict": "BITWISE"' <<< "$output")" 5
	rm -r raw
	run -2 sd-verify --rerun --chain -q lone/e.h5
	assert_line --regexp '^UNTRIED	dataset	.*raw file .*\(57512 bytes, SHA-256 46abec6b1248.*\) was not found'
	assert_line --regexp '^UNTRIED	eval	'
}

@test "rerun: an input that is gone or has changed is made again from its ancestors" {
	study
	rm s.h5 d.h5
	flip m.h5 9000
	run -0 sd-verify --rerun -q e.h5
	assert_output 'e.h5: BITWISE'
	run -0 --separate-stderr sd-verify --rerun e.h5
	assert_line '  model: made again, BITWISE'
	assert_line '  data: made again, BITWISE'
	[[ $stderr == *'model '*': running sd-train'* ]]
	run -1 sd-verify --rerun m.h5
	assert_output --partial 'm.h5: damaged'
}

@test "rerun: --load, --resume, --also, resumed and random ones" {
	study
	sd-train --data d.h5 --arch ./g.genotype $TRAIN --load m.h5 --seed 3 --also d.h5 -o load.h5
	sd-train --data d.h5 --arch ./g.genotype $TRAIN --lr 0.01 --resume m.h5 -o more.h5
	sd-search --data d.h5 $SEARCH --resume s.h5 --restart_lr -o more-s.h5 2> /dev/null
	run -75 sd-train --data d.h5 --arch ./g.genotype $TRAIN --epochs 40 --max-time 0.0001 -o whole.h5
	sd-train --data d.h5 --arch ./g.genotype $TRAIN --epochs 40 --resume auto -o whole.h5
	sd-derive --random 7 s.h5 -o random.genotype
	sd-derive --epoch 1 --allow_none s.h5 -o first.genotype
	sd-eval -q load.h5 d.h5 d.h5 --weights last --split valid -o two.h5 > /dev/null
	sd-train --data d.h5 --arch DARTS_V2 $TRAIN -o named.h5
	sd-search --data d.h5 $SEARCH --weighting_algorithm max_w --primitives none,skip_connect,sep_conv_3x3 \
		--unrolled -o listed.h5
	for f in load more more-s whole two named listed; do
		run -0 sd-verify --rerun -q $f.h5
		assert_output "$f.h5: BITWISE"
	done
	run -0 sd-verify --rerun -q random.genotype first.genotype
	rm s.h5 m.h5 load.h5
	run -0 sd-verify --rerun --chain -q --search-path raw more.h5 two.h5
	assert_equal "$(cut -f 1 <<< "$output" | sort -u)" "BITWISE
verdict"
}

@test "rerun: checkpoints, and what began with one" {
	study
	# by a clock, by a step in mid-epoch, at the end of an epoch
	run -75 sd-train --data d.h5 --arch ./g.genotype $TRAIN --epochs 40 --max-time 0.1 -o clock.h5
	run -75 sd-train --data d.h5 --arch ./g.genotype $TRAIN --epochs 5 --stop-step 3 --context none -o bare.h5
	run -75 sd-train --data d.h5 --arch ./g.genotype $TRAIN --epochs 5 --stop-step 3 -o middle.h5
	assert_output --partial 'stopped in epoch 2 after 1 of 2 steps'
	run -75 sd-train --data d.h5 --arch ./g.genotype $TRAIN --epochs 5 --stop-step 4 --note a=b -o end.h5
	assert_output --partial 'stopped in epoch 3 after 0 of 2 steps'
	run -75 sd-search --data d.h5 $SEARCH --epochs 4 --stop-step 5 -o search.h5
	run -0 sd-verify --rerun -q clock.h5.ckpt middle.h5.ckpt end.h5.ckpt search.h5.ckpt
	assert_equal "$(grep -c ': BITWISE$' <<< "$output")" 4
	# without a context, a genotype that is known by name is found by its content
	sd-train --data d.h5 --arch DARTS_V2 $TRAIN --context none -o named.h5
	run -0 sd-verify --rerun -q named.h5
	assert_output 'named.h5: BITWISE'
	run -2 sd-verify --rerun bare.h5.ckpt
	assert_output --partial 'at which step it was left was not recorded'
	# the end of an epoch is what a killed run leaves
	sd-train --data d.h5 --arch ./g.genotype $TRAIN --epochs 5 --resume middle.h5.ckpt --lr 0.01 -o new.h5
	sd-derive --partial search.h5.ckpt -o early.genotype
	sd-eval -q --partial middle.h5.ckpt d.h5 -o half.h5 > /dev/null
	sd-verify --script new.h5 > script
	rm ./*.ckpt
	run -0 sd-verify --rerun -q new.h5 early.genotype half.h5
	assert_equal "$(grep -c ': BITWISE$' <<< "$output")" 3
	mkdir again
	sh script again 2> log
	assert_equal "$(artifact_id again/new.h5)" "$(artifact_id new.h5)"
	# stopped again and again it is the same run
	sd-train --data d.h5 --arch ./g.genotype $TRAIN --epochs 5 -o whole.h5
	for step in 1 4 7; do
		run -75 sd-train --data d.h5 --arch ./g.genotype $TRAIN --epochs 5 --resume auto --stop-step $step -o steps.h5
	done
	sd-train --data d.h5 --arch ./g.genotype $TRAIN --epochs 5 --resume auto -o steps.h5
	assert_equal "$(payload steps.h5)" "$(payload whole.h5)"
}

@test "rerun: sd-prep of archives, folders, many files, limits" {
	mkdir temporary here
	export TMPDIR=$PWD/temporary
	cd here
	colours folder.h5
	tar -czf x.tar.gz cifar-10-batches-bin
	sd-prep cifar10 x.tar.gz -q -o archive.h5
	sd-prep cifar10 cifar-10-batches-bin -q --limit-train 30 --limit-test 9 --seed 5 --size 16 --grey \
		--name small -o small.h5
	run -0 sd-verify --rerun -q folder.h5 archive.h5 small.h5
	# the folder's files elsewhere, under other names
	mkdir ../there
	for f in cifar-10-batches-bin/*; do
		mv "$f" ../there/"$(sha256sum < "$f" | cut -c 1-8)"
	done
	rm x.tar.gz
	run -2 sd-verify --rerun -q folder.h5
	run -0 sd-verify --rerun -q --search-path ../there folder.h5 small.h5
	assert_line 'folder.h5: BITWISE'
	if /usr/bin/python3 -c 'import PIL' 2> /dev/null; then
		/usr/bin/python3 - <<-'EOS'
			import os
			from PIL import Image
			for split, n in ("train", 6), ("test", 3):
			    for k in range(12):
			        os.makedirs(f"tree/{split}/c{k}")
			        for i in range(n):
			            Image.new("RGB", (8, 8), (k * 20, i * 30, n)).save(f"tree/{split}/c{k}/{i}.png")
		EOS
		sd-prep images tree -q -o many.h5
		run -0 sd-verify --rerun -q many.h5
		mkdir ../moved
		mv tree ../moved
		run -0 sd-verify --rerun -q --search-path ../moved many.h5
		rm ../moved/tree/train/c0/0.png
		run -2 --separate-stderr sd-verify --rerun --search-path ../moved many.h5
		assert_line "  its raw files were not found: 'raw' has changed"
	fi
}

@test "rerun: a hostile claim is refused" {
	study
	while IFS='|' read -r change said; do
		forge g.genotype forged.genotype "$change"
		run -1 --separate-stderr sd-verify --rerun forged.genotype
		assert_line -n 0 'forged.genotype: BROKEN'
		assert_output --partial "$said"
	done <<-'END'
		s/"allow_none":false,/&"allow_nothing":true,/|sd-derive has no option for the parameter 'allow_nothing' of its claim
		s/"epoch":2/&,"output":"\/tmp\/rerun-owned"/|'output' is no parameter of sd-derive: its option changes no number
		s/"epoch":2/&,"random":"7"/|'random' is no parameter of sd-derive: its option changes no number
		s/"epoch":2/"epoch":"2; touch owned"/|the parameter 'epoch' of its claim is not of the type that sd-derive has (int)
		s/"epoch":2/"epoch":99/|sd-derive failed with exit status 64
		s/"epoch":2/&,"primitives":"; touch owned; $(touch owned)"/|sd-derive failed with exit status 64
		s/"allow_none":false/"allow_none":"false"/|not of the type that sd-derive has (flag)
		s/"tool":"sd-derive"/"tool":"sh"/|'sh' is no tool that makes artifacts
		s/"tool":"sd-derive"/"tool":"sd-lr"/|'sd-lr' is no tool that makes artifacts
		s/"tool":"sd-derive"/"tool":"sd-train"/|sd-train has no option for the parameter 'allow_none' of its claim
		s/"inputs":{"search":{/"inputs":{"other":{/|sd-derive has no input 'other'
	END
	[ ! -e owned ] && [ ! -e /tmp/rerun-owned ]
	sed '0,/^# sd-manifest/s/"tool":"sd-derive"/"tool":"..\/sd-derive"/' g.genotype > slash.genotype
	run -1 sd-verify --rerun slash.genotype
	assert_output --partial 'claim.tool is missing or not what it should be'
	# what is recorded of the command line and of paths is not followed
	forge g.genotype argv.genotype 's/"argv":\["[^"]*"/"argv":["\/bin\/false","; touch owned"/; s/"name":"s.h5"/"name":"\/dev\/zero"/'
	run -0 sd-verify --rerun -q argv.genotype
	assert_output 'argv.genotype: BITWISE'
	[ ! -e owned ]
}

@test "rerun: BROKEN when the tool fails or what it makes is not what the claim says" {
	study
	fake_tool sd-train <<-'END'
		echo 'sd-train: no' >&2
		exit 65
	END
	run -1 bin/sd-verify --rerun m.h5
	assert_line 'm.h5: BROKEN'
	assert_line '  sd-train failed with exit status 65'
	sed -i 's/exit 65/exit 69/' bin/sd-train
	run -2 bin/sd-verify --rerun m.h5
	assert_line 'm.h5: UNTRIED'
	sed -i 's/exit 69/exit 0/' bin/sd-train
	run -1 bin/sd-verify --rerun m.h5
	assert_line '  sd-train ended well and made nothing'
	sed -i 's/^exit 0/kill -SEGV $$/' bin/sd-train
	run -1 bin/sd-verify --rerun m.h5
	assert_line '  sd-train was killed by signal 11'
	rm -r bin
	# a claim of seed 0 that seed 9 was at work for
	fake_tool sd-train <<-'END'
		for a; do
			shift
			[ "$a" != --seed=0 ] || a=--seed=9
			set -- "$@" "$a"
		done
		exec "$real" "$@"
	END
	run -1 --separate-stderr bin/sd-verify --rerun m.h5
	assert_line -n 0 'm.h5: BROKEN'
	assert_line '  source, environment and inputs are as recorded: the claim does not hold'
	assert_output --partial '/state/stem.0.weight: '
	# of another source there may be a reason
	rm -r bin
	fake_tool sd-eval <<-'END'
		exec "$real" "$@"
	END
	rm bin/sd-eval
	PATH=/nowhere run -2 "$PWD/bin/sd-verify" --rerun -q e.h5
	assert_output 'e.h5: UNTRIED'
}

@test "rerun: NUMERIC after a constant was changed, which names the tensor; STATISTICAL beside other runs" {
	study
	for seed in 3 4 5 6; do
		sd-search --data d.h5 $SEARCH --seed $seed -o run-$seed.h5
	done
	mkdir runs
	mv run-5.h5 run-6.h5 runs/
	cp m.h5 runs/
	other_source lib/model/init.c 's/normal(out, n, 1e-3f/normal(out, n, 1.001e-3f/'
	run -1 --separate-stderr other/build/bin/sd-verify --rerun s.h5
	assert_line -n 0 's.h5: NUMERIC'
	assert_line --regexp '^  source: recorded [0-9a-f]{12} \(commit .*\), installed [0-9a-f]{12} \(commit '
	assert_line --regexp '^  [0-9]+ of [0-9]+ datasets differ, the worst by [0-9.e-]+ relative: /'
	assert_line --regexp '^  /alphas_last/normal: 45 of 45 differ, worst by [0-9.e-]+ \(.*\) at \([0-4], [0-8]\), worst relative'
	run -1 --separate-stderr other/build/bin/sd-verify --rerun --runs run-3.h5 --runs run-4.h5 --runs runs s.h5
	assert_line -n 0 's.h5: STATISTICAL'
	assert_line --regexp '^  /history/valid_loss: [0-9.]+, within [0-9.]+ to [0-9.]+, where 95 % of runs fall after 5$'
	# too few runs say nothing, those of another recipe aren't taken
	run -1 --separate-stderr other/build/bin/sd-verify --rerun --runs s.h5 s.h5
	assert_line -n 0 's.h5: NUMERIC'
	assert_line '  1 run of the recipe: at least 2 are needed to compare with'
	sd-search --data d.h5 $SEARCH --seed 3 --learning_rate 0.05 -o else.h5
	run -2 other/build/bin/sd-verify --rerun --runs else.h5 s.h5
	assert_output --regexp '^sd-verify: else.h5: a run of another recipe \([0-9a-f]{12}\) than s.h5 \([0-9a-f]{12}\)$'
	# what follows: the other numbers go on from there
	run -1 --separate-stderr other/build/bin/sd-verify --rerun --chain -q --search-path raw e.h5
	assert_line --regexp '^BITWISE	dataset	'
	assert_line --regexp '^NUMERIC	search	'
}

@test "rerun: a signal ends it, and nothing is left" {
	study
	fake_tool sd-search <<-'END'
		: > ../../../started
		exec sleep 60
	END
	bin/sd-verify --rerun s.h5 > out 2> err &
	local pid=$! status=0
	for _ in $(seq 100); do
		[ ! -e started ] || break
		sleep 0.1
	done
	[ -e started ]
	kill -TERM $pid
	wait $pid || status=$?
	assert_equal "$status" 143
	[ -z "$(ls temporary)" ]
}

@test "diff: what two artifacts differ in" {
	study
	sd-train --data d.h5 --arch ./g.genotype $TRAIN --seed 1 --note who=me -o n.h5
	run -0 sd-verify --diff m.h5 m.h5
	assert_output 'first: m.h5
second: m.h5
claim: the same
payload: the same
context: the same'
	run -1 sd-verify --diff m.h5 n.h5
	assert_line '  seed: 0 and 1'
	assert_line --regexp '^payload \([0-9]+ datasets are the same, [0-9]+ are not\):$'
	assert_line --regexp '^  /state/stem.0.weight: [0-9]+ of 108 differ, worst by .* at \([0-9]+, 0, [0-2], [0-2]\), worst relative '
	assert_line '  notes: nothing and {"who":"me"}'
	sd-train --data d.h5 --arch ./g.genotype $TRAIN --note who=me -o again.h5
	run -0 sd-verify --diff m.h5 again.h5
	assert_line 'claim: the same'
	assert_line 'payload: the same'
	assert_line '  notes: nothing and {"who":"me"}'
	run -1 sd-verify --diff --format json m.h5 n.h5
	/usr/bin/python3 -c '
import json, sys
d = json.load(sys.stdin)
assert not d["same"] and {"what": "seed", "first": "0", "second": "1"} in d["claim"]
w = [p for p in d["payload"] if p["dataset"] == "/state/stem.0.weight"][0]
assert w["elements"] == 108 and len(w["worst_absolute_at"]) == 4
try:
    import h5py, numpy as n
except ImportError:
    sys.exit()
a, b = (h5py.File(f)["state/stem.0.weight"][()].astype("f8") for f in ("m.h5", "n.h5"))
assert w["differing"] == (a != b).sum() and float(w["worst_absolute"]) == abs(a - b).max()
assert float(w["worst_relative"]) == (abs(a - b) / n.maximum(abs(a), abs(b))).max()
assert abs(a - b)[tuple(w["worst_absolute_at"])] == abs(a - b).max()
' <<< "$output"
	# where inputs differ, so do the claims behind them
	sd-derive s.h5 --epoch 1 -o h.genotype
	sd-train --data d.h5 --arch ./h.genotype $TRAIN -o o.h5
	run -1 sd-verify --diff m.h5 o.h5
	assert_line '  inputs.arch > parameters.epoch: 2 and 1'
	run -1 sd-verify --diff m.h5 s.h5
	assert_line '  kind: model and search'
	sd-derive --random 3 s.h5 -o r.genotype
	run -1 sd-verify --diff g.genotype r.genotype
	assert_line --regexp "^  genotype: 'Genotype\(.*' and 'Genotype\(.*'$"
	run -2 sd-verify --diff m.h5
	assert_line -n 0 'sd-verify: --diff takes 2 artifacts, not 1'
	run -2 sd-verify --diff m.h5 nothing.h5
	assert_line -n 0 "sd-verify: cannot open 'nothing.h5': No such file or directory"
}

@test "script: run, it makes the same ids" {
	study
	mkdir "it's here" one two
	rm ./*.h5 ./*.genotype
	cp raw/digits.csv.gz "it's here/the \$(touch owned) \"raw\" file"
	sd-prep digits "it's here/the \$(touch owned) \"raw\" file" -q -o d.h5
	cp "$ROOT/genotypes/DARTS_V2.genotype" "it's here/"
	sed -i '/^#/d' "it's here/DARTS_V2.genotype"
	sd-search --data d.h5 $SEARCH --primitives none,skip_connect,sep_conv_3x3 -o s.h5
	sd-derive s.h5 -o g.genotype
	sd-train --data d.h5 --arch "./it's here/DARTS_V2.genotype" $TRAIN -o first.h5
	sd-train --data d.h5 --arch ./g.genotype $TRAIN --also d.h5 -o m.h5
	sd-train --data d.h5 --arch "./it's here/DARTS_V2.genotype" $TRAIN --load first.h5 -o n.h5
	sd-eval -q m.h5 d.h5 d.h5 -o "e v.h5" > /dev/null
	for f in m.h5 n.h5 "e v.h5" g.genotype; do
		sd-verify --script "$f" > script
		sh script one 2> log
		refute [ "$(grep -c note: log)" -gt 0 ]
		sd-verify --chain "$f" | grep -oE '[a-z]+ [0-9a-f]{64} \(' > recorded
		(cd one && sd-verify --chain "$f") | grep -oE '[a-z]+ [0-9a-f]{64} \(' > made
		[ -s recorded ]
		cmp recorded made
		if command -v shellcheck > /dev/null; then
			shellcheck -S warning -s sh script
		fi
	done
	[ ! -e owned ]
	# the raw file elsewhere, and another one
	mv "it's here" away
	run -1 sh script two
	mv away/the* moved
	raw1=moved sh script two 2> log
	assert_equal "$(payload two/g.genotype)" "$(payload g.genotype)"
	echo >> moved
	raw1=moved run -1 sh script two
	assert_output --partial './moved: not the file that was recorded'
	# a folder; what isn't recorded is asked for
	colours c.h5
	sd-prep cifar10 cifar-10-batches-bin -q --context none -o bare.h5
	sd-verify --script c.h5 > script
	sh script one 2> log
	cmp <(payload c.h5) <(payload one/c.h5)
	echo >> cifar-10-batches-bin/data_batch_3.bin
	run -1 sh script one
	assert_output --partial 'data_batch_3.bin: not the file that was recorded'
	sd-verify --script bare.h5 > script
	run ! sh script one
	assert_output --partial 'where it is was not recorded'
	run -75 sd-train --data d.h5 --arch DARTS_V2 $TRAIN --epochs 40 --stop-step 3 --context none -o stop.h5
	run -2 sd-verify --script stop.h5.ckpt
	assert_output --partial 'a checkpoint, and at which step it was left was not recorded'
	forge g.genotype forged.genotype 's/"allow_none":false,/&"allow_nothing":true,/'
	run -2 sd-verify --script forged.genotype
	assert_output --partial "sd-derive has no option for the parameter 'allow_nothing' of its claim"
}

@test "cite: what a paper says" {
	study
	run -0 sd-verify --cite e.h5
	assert_equal "${#lines[@]}" 1
	assert_output --regexp '^The data set digits was read from digits.csv.gz \(SHA-256 46abec6b1248\)\. The cell was '
	assert_output --partial 'over the search space PRIMITIVES (layers of OPS), a primitive of weight w counting w (scalar), for 2'
	assert_output --partial 'SGD with momentum 0.9, weight decay 0.0003, gradients clipped to a norm of 5'
	assert_output --partial 'cosine power annealing (exponent order 2, 0 warm-up epochs)'
	assert_output --partial '; seed 2. The genotype was derived from the weights after epoch 2 of the search. A network of 3 '
	assert_output --regexp 'best epoch \(by the test images\) on the test images, it has a top-1 accuracy of [0-9.]+ % and a loss of'
	assert_output --regexp "sharpdarts $(cat "$ROOT/VERSION") \\(source [0-9a-f]{12}"
	for f in d.h5 s.h5 g.genotype m.h5 e.h5; do
		run -0 sd-verify --chain $f
		id=$(grep -oE -m 1 '[0-9a-f]{64}' <<< "$output")
		run -0 sd-verify --cite e.h5
		assert_output --partial " ${id:0:12}"
	done
	# runs of one recipe are one paragraph, others each their own
	for seed in 1 2; do
		sd-train --data d.h5 --arch ./g.genotype $TRAIN --seed $seed -o m$seed.h5
		sd-eval -q m$seed.h5 d.h5 -o e$seed.h5 > /dev/null
	done
	run -0 sd-verify --cite e.h5 e1.h5 e2.h5
	assert_equal "${#lines[@]}" 1
	assert_output --partial '; seeds 0, 1 and 2. Evaluated'
	assert_output --regexp 'accuracy of [0-9.]+ % \(standard deviation [0-9.]+, 3 runs\)'
	# a copy, or the same once more, is no further run
	local once=$output
	cp e1.h5 copy.h5
	sd-eval -q m2.h5 d.h5 -o again.h5 > /dev/null
	run -0 sd-verify --cite e.h5 e1.h5 copy.h5 e2.h5 again.h5 e.h5
	assert_output "$once"
	sd-derive --random 7 s.h5 -o random.genotype
	sd-train --data d.h5 --arch ./random.genotype $TRAIN --optimizer padam --cutout --auxiliary \
		--schedule warm_restarts -o p.h5
	run -0 sd-verify --cite m.h5 p.h5
	assert_equal "${#lines[@]}" 2
	assert_line -n 1 --partial 'drawn at random from the search space PRIMITIVES'
	assert_line -n 1 --partial 'Padam (partial exponent 0.125)'
	assert_line -n 1 --partial 'cosine annealing with warm restarts (first cycle of 20 epochs)'
	assert_line -n 1 --partial 'cutout of 16 pixels'
	assert_line -n 1 --partial 'an auxiliary head of weight 0.4'
	sd-prep digits raw/digits.csv.gz -q --limit-train 50 --limit-test 20 --size 16 --name little -o l.h5
	run -0 sd-verify --cite l.h5
	assert_output --partial 'The data set little (digits) was read from digits.csv.gz'
	assert_output --partial 'scaled and cropped to 16x16 pixels, of which 50 training images were drawn and 20 test images with seed 0.'
}

@test "rerun: what every reader made, from folders and archives, wherever the files are now" {
	/usr/bin/python3 -c 'import numpy' 2> /dev/null || skip 'no Python with numpy'
	local set name artifacts='' n=0 f
	mkdir here temporary elsewhere
	export TMPDIR=$PWD/temporary
	cd here
	for set in cifar10 cifar10-python cifar100 cifar100-python cifar10.1 cifar10.1-v4 mnist fashion emnist svhn stl10; do
		/usr/bin/python3 "$BATS_TEST_DIRNAME/rawdata.py" "$set" "$set"
		name=${set%-python*}
		sd-prep $name $set -o $set.h5 -q
		tar -czf $set.tgz $set
		sd-prep $name $set.tgz -o $set-archive.h5 -q
		artifacts="$artifacts $set.h5 $set-archive.h5"
	done
	run -0 sd-verify --rerun -q $artifacts
	assert_equal "$(grep -c ': BITWISE$' <<< "$output")" 22
	# all files in one folder, under other names
	for f in */* */*/* ./*.tgz; do
		n=$((n + 1))
		[ ! -f "$f" ] || mv "$f" ../elsewhere/$n
	done
	run -0 sd-verify --rerun -q --search-path ../elsewhere $artifacts
	assert_equal "$(grep -c ': BITWISE$' <<< "$output")" 22
}
