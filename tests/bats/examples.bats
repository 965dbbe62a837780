# The examples of the man pages, run as they stand there: in a folder with files of the names that they use, on
# 200 made-up images in the place of CIFAR-10, and with sd-search and sd-train made small by options that
# are put behind their own.  What can't be run so is in examples.skip.

load setup

SMALL='--epochs 2 --init_channels 4 --limit-batches 1 --batch_size 20 --force -q'

# small TOOL OPTION...: TOOL in shim/, which is found first and adds the options, but behind a "--", where all are given.
small() {
	printf '#!/bin/sh\ncase " $* " in *" -- "*) exec "%s/bin/%s" "$@" ;; esac\nexec "%s/bin/%s" "$@" %s\n' \
		"$BUILD" "$1" "$BUILD" "$1" "$SMALL ${*:2}" > shim/$1
	chmod +x shim/$1
}

# trained OUT OPTION...: a model and its evaluation.
trained() {
	sd-train --data cifar10.h5 --also cifar10.1.h5 -o "$1.h5" "${@:2}"
	sd-eval -q "$1.h5" cifar10.h5 -o "$1-eval.h5" > /dev/null
}

setup_file() {
	cd "$BATS_FILE_TMPDIR"
	mkdir -p shim downloads work/CIFAR-10.1/datasets
	small sd-search --layers_of_cells 2 --layers_in_cells 2
	small sd-train --layers 3
	PATH=$PWD/shim:$PATH
	export HOME=$PWD
	cd work
	colours first.h5
	rm first.h5
	tar -czf cifar-10-binary.tar.gz cifar-10-batches-bin
	sd-prep cifar10 cifar-10-binary.tar.gz -q -o cifar10.h5
	sd-prep cifar10 cifar-10-batches-bin -q --limit-train 60 --limit-test 30 -o small.h5
	if /usr/bin/python3 -c 'import numpy' 2> /dev/null; then
		/usr/bin/python3 - <<-'EOS'
		import numpy as n
		n.save('CIFAR-10.1/datasets/cifar10.1_v6_data.npy', n.arange(30 * 3072).astype('u1').reshape(30, 32, 32, 3))
		n.save('CIFAR-10.1/datasets/cifar10.1_v6_labels.npy', (n.arange(30) % 10).astype('int64'))
		EOS
		sd-prep cifar10.1 CIFAR-10.1/datasets -q -o cifar10.1.h5
	else
		cp small.h5 cifar10.1.h5
	fi
	"$BUILD/bin/sd-search" --data cifar10.h5 $SMALL --epochs 10 --layers_of_cells 2 --layers_in_cells 2 -o search.h5
	sd-derive search.h5 --name MINE -o mine.genotype
	sd-derive search.h5 --name FOUND -o found.genotype
	sd-derive --random 1 --name RANDOM search.h5 -o random.genotype
	cp "$ROOT/genotypes/DARTS_V2.genotype" ../downloads/
	sd-train --data cifar10.h5 --arch ../downloads/DARTS_V2.genotype -o model.h5
	mkdir -p runs/1 runs/2
	for i in 1 2; do
		trained found-$i --arch ./found.genotype --seed $i
		trained random-$i --arch ./random.genotype --seed $i --note method=random
		trained model-$i --arch ./mine.genotype --seed $i --note method=found --init_channels 6
		mv model-$i-eval.h5 eval-$i.h5
		cp eval-$i.h5 runs/$i/eval.h5
		cp model-$i.h5 NAME_$i.h5
	done
}

# The commands of a page's examples, each ended by a zero byte: lines are put together until they are whole.
commands() {
	local line text=
	while IFS= read -r line; do
		text=${text:+$text$'\n'}$line
		if [ "${line%\\}" = "$line" ] && bash -n <<< "$text" 2> /dev/null; then
			printf '%s\0' "$text"
			text=
		fi
	done < <(awk '/^\.SH/ { on = /EXAMPLES/ } on && /^\.nf/ { shown = 1; next } /^\.fi/ { shown = 0 }
		on && shown && !/^\./' "$1" | sed 's/\\-/-/g; s/\\e/\\/g; s/\\&//g; s/\\\\/\\/g')
	[ -z "$text" ] || printf '%s\0' "$text"
}

# Why a command is left out, or nothing.
reason() {
	local pattern why
	while IFS=$'\t' read -r pattern why; do
		if [[ $pattern != '#'* ]] && grep -qE -e "$pattern" <<< "$1"; then
			echo "$why"
			return
		fi
	done < "$ROOT/tests/bats/examples.skip"
	for why in jq dot gnuplot column; do # what isn't on every machine
		if grep -qw "$why" <<< "$1" && ! command -v $why > /dev/null; then
			echo "no $why"
			return
		fi
	done
}

examples() {
	local command why n=0
	cp -r "$BATS_FILE_TMPDIR/work" work
	cd work
	PATH=$BATS_FILE_TMPDIR/shim:$PATH
	export HOME=$BATS_FILE_TMPDIR
	while IFS= read -r -d '' command; do
		why=$(reason "$command")
		if [ -n "$why" ]; then
			echo "left out, $why: $command"
			continue
		fi
		echo "runs: $command"
		bash -eo pipefail -c "$command" < /dev/null
		n=$((n + 1))
	done < <(commands "$ROOT/man/$1.1")
	[ $n -gt 0 ]
}

@test "examples: sd-collect" { examples sd-collect; }
@test "examples: sd-derive" { examples sd-derive; }
@test "examples: sd-dot" { examples sd-dot; }
@test "examples: sd-eval" { examples sd-eval; }
@test "examples: sd-lr" { examples sd-lr; }
@test "examples: sd-prep" { examples sd-prep; }
@test "examples: sd-search" { examples sd-search; }
@test "examples: sd-train" { examples sd-train; }
@test "examples: sd-verify" { examples sd-verify; }

@test "examples: every tool has some that are run" {
	for t in "$ROOT"/tools/sd-*.c; do
		t=${t##*/}
		grep -q "@test \"examples: ${t%.c}\"" "$ROOT/tests/bats/examples.bats"
		commands "$ROOT/man/${t%.c}.1" | grep -qz .
	done
}
