load setup

train() {
	local out=$1
	shift
	sd-train --arch DARTS_V2 --data digits.h5 --epochs 1 --init_channels 4 --layers 2 --limit-batches 3 -q -o "$out" "$@"
}

setup() {
	cd "$BATS_TEST_TMPDIR"
	digits digits.h5 -q
	for i in 1 2 3; do
		train $i.h5 --seed $i
	done
}

@test "collect: seeds of one recipe are one row, in any order" {
	sd-collect 1.h5 2.h5 3.h5 > a
	sd-collect 3.h5 1.h5 2.h5 > b
	cmp a b
	assert_equal "$(head -n 1 a)" "$(printf 'recipe\tarch\tdata\tn\tmean\tstd\tstderr\tci95_low\tci95_high\tbest_of_n\tmin\tmax\tbest_epoch')"
	assert_equal "$(wc -l < a)" 2
	assert_equal "$(tail -n 1 a | cut -f 2-4)" "$(printf 'DARTS_V2\tdigits\t3')"
	sd-collect --runs 1.h5 2.h5 3.h5 > runs
	awk -F '\t' 'NR == FNR { if (FNR > 1) { s += $5; q += $5 * $5; n++ } next }
		FNR == 2 { m = s / n; d = m - $5; e = sqrt((q - n * m * m) / (n - 1)) - $6
			exit d * d > 1e-7 || e * e > 1e-6 || $4 != 3 }' runs a
}

@test "collect: other parameters are other rows, and --by names them" {
	train wide.h5 --seed 1 --init_channels 8
	run sd-collect --by init_channels --by seed 1.h5 2.h5 3.h5 wide.h5
	assert_success
	assert_equal "${#lines[@]}" 5
	assert_line -n 0 --partial "$(printf 'data\tinit_channels\tseed\tn')"
	run sd-collect --by init_channels 1.h5 2.h5 3.h5 wide.h5
	assert_equal "${#lines[@]}" 3
}

@test "collect: evaluations by the model's seed" {
	for i in 1 2 3; do
		sd-eval $i.h5 digits.h5 -q -o e$i.h5 > /dev/null
	done
	run sd-collect e1.h5 e2.h5 e3.h5
	assert_success
	assert_equal "${#lines[@]}" 2
	assert_equal "$(echo "${lines[1]}" | cut -f 4)" 3
	assert_equal "$(echo "${lines[1]}" | cut -f 5-)" "$(sd-collect 1.h5 2.h5 3.h5 | tail -n 1 | cut -f 5-)"
	# a model and its evaluation count once, as the evaluation
	assert_equal "$(sd-collect 1.h5 e2.h5 2.h5 e1.h5 3.h5 e3.h5)" "$output"
	sd-collect --by kind 1.h5 2.h5 e1.h5 > mixed
	assert_equal "$(cut -f 4,5 mixed | sed 1d | sort | tr '\t\n' ' ,')" "eval 1,model 1,"
}

@test "collect: the same run counts once and is said to" {
	cp 1.h5 again.h5
	run sd-collect 1.h5 again.h5 2.h5
	assert_success
	assert_output --partial "again.h5: the same run as 1.h5, counted once"
	assert_equal "$(sd-collect -q 1.h5 again.h5 2.h5 | tail -n 1 | cut -f 4)" 2
}

@test "collect: another result of the same recipe and seed is irreproducible" {
	"$BUILD/tests/test_results" --write a.h5 1 97
	"$BUILD/tests/test_results" --write b.h5 2 98
	"$BUILD/tests/test_results" --write c.h5 2 98.5
	sd-collect a.h5 b.h5
	run sd-collect -q a.h5 b.h5 c.h5
	assert_failure 1
	assert_output --partial "c.h5: irreproducible: the recipe and the seed of b.h5 with another result"
	assert_output --partial "$(printf 'made\t2\t97.5000')"
}

@test "collect: formats and metrics" {
	run sd-collect --format markdown --metric error 1.h5 2.h5 3.h5
	assert_success
	assert_line -n 1 --regexp '^\| --- '
	assert_line -n 2 --regexp '\| [0-9.]+\+/-[0-9]+\.[0-9][0-9] \| [0-9.]+ to [0-9.]+ \|'
	assert_line -n 0 --partial 'best of n, not to be expected'
	sd-collect --format json 1.h5 2.h5 3.h5 > j
	sd-collect --format json --runs --metric loss 1.h5 2.h5 3.h5 > k
	/usr/bin/python3 - <<-'EOS'
	import json, statistics as s
	j, k = json.load(open('j')), json.load(open('k'))
	assert len(j) == 1 and j[0]['n'] == 3 and len(k) == 3
	assert [r['seed'] for r in k] == ['1', '2', '3'] and all(0 < r['loss'] < 100 for r in k)
	EOS
	run sd-collect 1.h5
	assert_equal "$(echo "${lines[1]}" | cut -f 6)" -
}

@test "collect: what can't be believed is refused" {
	flip 2.h5 4000 3
	run sd-collect 1.h5 2.h5
	assert_failure 65
	assert_output --partial 2.h5
	run sd-collect digits.h5
	assert_failure 65
	assert_output --partial "where a model or an eval was expected"
	run sd-collect
	assert_failure 64
}

@test "collect: confidence intervals, and the best beside the mean" {
	sd-collect --format json --metric error 1.h5 2.h5 3.h5 > a
	sd-collect --format json --metric error --runs 1.h5 2.h5 3.h5 > runs
	sd-collect --format json --metric error --confidence 0.99 1.h5 2.h5 3.h5 > b
	/usr/bin/python3 - <<-'EOS'
	import json, statistics as s
	a, b, x = json.load(open('a'))[0], json.load(open('b'))[0], [r['error'] for r in json.load(open('runs'))]
	for row, low, high, t in ((a, 'ci95_low', 'ci95_high', 4.30265273), (b, 'ci99_low', 'ci99_high', 9.92484320)):
	    half = t * s.stdev(x) / 3 ** .5
	    assert abs(row[low] - (s.mean(x) - half)) < 1e-6 and abs(row[high] - (s.mean(x) + half)) < 1e-6
	assert a['best_of_n'] == min(x) == a['min']
	EOS
	run sd-collect --confidence 1 1.h5
	assert_failure 64
}

@test "collect: a split or a data set, the equal of ack" {
	train half.h5 --seed 1 --train_portion 0.5 --also digits.h5
	sd-prep digits "$DIGITS" --limit_test 50 -o few.h5 -q
	sd-eval -q 1.h5 digits.h5 few.h5 -o e.h5 > /dev/null
	sd-eval -q 1.h5 digits.h5 --split valid -o v.h5 > /dev/null 2>&1
	run sd-collect --runs half.h5 e.h5 v.h5
	assert_equal "$(printf '%s\n' "${lines[@]}" | cut -f 3 | sort | tr '\n' ,)" \
		"data,digits,digits (2),digits (also 1),digits/valid,digits/valid,"
	run sd-collect --runs --split valid half.h5 e.h5 v.h5
	assert_equal "${#lines[@]}" 3
	run sd-collect --runs --split test half.h5 e.h5 v.h5
	assert_equal "${#lines[@]}" 4
	run sd-collect --runs --split 'digits (2)' half.h5 e.h5 v.h5
	assert_equal "${#lines[@]}" 2
	sd-collect --runs --split train 1.h5 > a
	assert_equal "$(tail -n 1 a | cut -f 3)" digits/train
	run sd-collect --split cifar10.1 1.h5
	assert_failure 64
	assert_output --partial "nothing was measured on 'cifar10.1'"
}

@test "collect: groups by hand, by parameter and by note" {
	train wide.h5 --seed 9 --init_channels 8 --note set=x
	train other.h5 --seed 9 --layers 3 --note set=x
	run sd-collect --group set 1.h5 2.h5 3.h5 wide.h5 other.h5
	assert_success
	assert_equal "${#lines[@]}" 3
	assert_equal "$(printf '%s\n' "${lines[@]}" | cut -f 1,4,5 | sed 1d | cut -f 2,3 | sort | tr '\t\n' ' ,')" "- 3,x 2,"
	assert_line --regexp "^-	DARTS_V2	digits	x	2	"
	run sd-collect --group kind 1.h5 2.h5 3.h5 wide.h5 other.h5
	assert_equal "$(echo "${lines[1]}" | cut -f 5)" 5
	run sd-collect --group kind --by seed 1.h5
	assert_failure 64
}

@test "collect: two groups compared, by mean and by image" {
	for i in 1 2 3; do
		train wide-$i.h5 --seed $i --init_channels 8
		sd-eval -q $i.h5 digits.h5 -o e$i.h5 > /dev/null
		sd-eval -q wide-$i.h5 digits.h5 -o f$i.h5 > /dev/null
	done
	sd-collect --by init_channels --compare 4,8 --format json e?.h5 f?.h5 > c
	/usr/bin/python3 -c 'import h5py' || skip "no h5py"
	/usr/bin/python3 - <<-'EOS'
	import h5py, json, statistics as s
	from math import comb
	c = json.load(open('c'))
	assert [r['test'] for r in c] == ['welch', 'paired_t'] + 3 * ['mcnemar']
	e, f = ([h5py.File('%s%d.h5' % (k, i)) for i in (1, 2, 3)] for k in 'ef')
	x, y = [h['top1'][()] for h in e], [h['top1'][()] for h in f]
	d = [a - b for a, b in zip(x, y)]
	assert abs(c[0]['difference'] - s.mean(d)) < 1e-9 and c[0]['n_a'] == c[0]['n_b'] == 3
	assert abs(c[1]['statistic'] - s.mean(d) / (s.stdev(d) / 3 ** .5)) < 1e-9 and c[1]['df'] == 2
	assert abs(c[0]['statistic'] - s.mean(d) / ((s.variance(x) + s.variance(y)) / 3) ** .5) < 1e-9
	for row, g, h in zip(c[2:], e, f):
	    a, b = g['predicted'][:] == g['label'][:], h['predicted'][:] == h['label'][:]
	    m, n = int((a & ~b).sum()), int((b & ~a).sum())
	    p = min(1, 2 * sum(comb(m + n, k) for k in range(min(m, n) + 1)) / 2 ** (m + n))
	    assert (row['only_a_right'], row['only_b_right'], row['n_a']) == (m, n, 360)
	    assert abs(row['p'] - p) < 1e-10 and row['seed'] in '123'
	EOS
	# by recipe; models keep no predictions
	recipe=$(sd-collect 1.h5 | tail -n 1 | cut -f 1)
	other=$(sd-collect wide-1.h5 | tail -n 1 | cut -f 1)
	sd-collect --compare "$recipe,$other" [1-3].h5 wide-?.h5 > m
	assert_equal "$(cut -f 4 m | tr '\n' ' ')" "test welch paired_t "
	for wrong in DARTS_V2,8 4 4,4 ,4 4,16; do
		run sd-collect --by init_channels --compare $wrong e?.h5 f?.h5
		assert_failure 64
	done
}

@test "collect: two names of one cell are one row, and each can be compared" {
	sd-derive --random 1 --name A -o a.genotype
	sd-derive --random 1 --name B -o b.genotype
	for i in 1 2; do
		for cell in a b; do
			sd-train --arch ./$cell.genotype --data digits.h5 --epochs 1 --init_channels 4 --layers 2 --limit-batches 3 \
				-q -o $cell$i.h5 --seed $i --force 2> /dev/null
		done
		sd-train --arch NASNet --data digits.h5 --epochs 1 --init_channels 4 --layers 2 --limit-batches 3 -q \
			-o other$i.h5 --seed $i
	done
	run sd-collect a?.h5 b?.h5
	assert_success
	assert_output --partial 'b1.h5: the same run as a1.h5, counted once'
	sd-collect -q b2.h5 a?.h5 b1.h5 > t
	assert_equal "$(cut -f 2,4 t | sed 1d)" "$(printf 'A=B\t2')"
	for name in A B; do
		sd-collect -q --compare $name,NASNet ??.h5 other?.h5 > c
		assert_equal "$(cut -f 2-4,6 c | sed 1d)" "$(printf '%s\tNASNet\twelch\t2\n%s\tNASNet\tpaired_t\t2' $name $name)"
	done
	sd-collect -q --compare A,NASNet --compare B,NASNet ??.h5 other?.h5 > c
	assert_equal "$(cut -f 1,2,4 c | tr '\t\n' ' ,')" \
		'data a test,digits A welch,digits A paired_t,digits B welch,digits B paired_t,'
	sd-collect -q --compare A,B ??.h5 > c
	assert_equal "$(cut -f 2-4,10- c | sed 1d | cut -f 1-5)" "$(printf 'A\tB\tsame\t0.000000\t-')"
	sd-collect -q --compare B,NASNet --group arch --html r.html ??.h5 other?.h5 > c
	grep -q welch c
	grep -q 'A=B' r.html
	grep -q '<h2>Comparisons</h2>' r.html
	grep -q '<h3>A, B</h3>' r.html
	sd-collect -q --history b?.h5 a?.h5 > h
	assert_equal "$(cut -f 3 h | sed 1d | uniq)" 'A=B'
	run sd-collect -q --compare A,A a?.h5 b?.h5
	assert_failure 64
}

@test "collect: learning curves as a table" {
	train two.h5 --seed 1 --epochs 2
	sd-search --data digits.h5 --epochs 2 --init_channels 4 --layers_of_cells 2 --layers_in_cells 2 --batch_size 16 \
		--limit-batches 2 -q -o s.h5
	sd-collect --history two.h5 s.h5 > h
	assert_equal "$(wc -l < h)" 5
	for c in kind seed id epoch lr train_loss valid_top1 arch_loss drop_path_prob; do
		columns h | grep -qx $c
	done
	sd-collect --history --format json two.h5 s.h5 > j
	/usr/bin/python3 -c 'import h5py' || skip "no h5py"
	/usr/bin/python3 - <<-'EOS'
	import h5py, json
	j, f = json.load(open('j')), h5py.File('two.h5')['history']
	m = [r for r in j if r['kind'] == 'model']
	assert [r['epoch'] for r in m] == [1, 2] and [r['kind'] for r in j] == ['model'] * 2 + ['search'] * 2
	for i, r in enumerate(m):
	    assert all(r[k] == f[k][i] for k in f) and r['arch_loss'] is None
	EOS
	sd-eval -q two.h5 digits.h5 -o e.h5 > /dev/null
	run sd-collect --history e.h5
	assert_failure 65
	assert_output --partial 'it has no history'
	run sd-collect s.h5
	assert_failure 65
}

@test "collect: curves drawn, or a clear error" {
	run env PATH="$BUILD/bin" "$BUILD/bin/sd-collect" --plot p.svg 1.h5
	assert_failure 69
	assert_output --partial "cannot run 'gnuplot'"
	assert_output --partial 'gnuplot-nox'
	run sd-collect --plot p.gif 1.h5
	assert_failure 64
	command -v gnuplot > /dev/null || skip 'no gnuplot'
	train two.h5 --seed 1 --epochs 2 --note "odd='quoted'; {x}_y"
	run sd-collect --by odd --plot p.svg --metric error 1.h5 2.h5 3.h5 two.h5
	assert_success
	assert_line -n 0 --partial 'mean'
	/usr/bin/python3 -c 'import xml.dom.minidom as m; m.parse("p.svg")'
	grep -qF "'quoted'; {x}_y" p.svg
	grep -q '3 runs' p.svg
	run sd-collect --plot p.svg 1.h5
	assert_failure 64
	sd-collect --plot p.png --force 1.h5
	file p.png | grep -q 'PNG image' || [ "$(head -c 4 p.png | tail -c 3)" = PNG ]
	sd-collect --plot - 1.h5 | grep -q '</svg>'
}

@test "collect: a report is one page with the ids of all that it rests on" {
	sd-search --data digits.h5 --epochs 2 --init_channels 4 --layers_of_cells 2 --layers_in_cells 2 --batch_size 16 \
		--limit-batches 2 -q -o s.h5
	sd-derive s.h5 --name FOUND -o found.genotype
	for i in 1 2; do
		sd-train --arch ./found.genotype --data digits.h5 --epochs 2 --init_channels 4 --layers 2 --limit-batches 3 -q \
			--seed $i -o f$i.h5
		sd-eval -q f$i.h5 digits.h5 -o e$i.h5 > /dev/null
		sd-eval -q $i.h5 digits.h5 -o d$i.h5 > /dev/null
	done
	sd-collect --html r.html --title 'A < B' --group arch --compare FOUND,DARTS_V2 e?.h5 d?.h5 > /dev/null
	sd-collect --html - s.h5 found.genotype f?.h5 e?.h5 d?.h5 --title 'A < B' > r.html
	for f in s.h5 f1.h5 f2.h5 e1.h5 e2.h5 d1.h5 d2.h5 digits.h5; do
		id=$(artifact_id $f | cut -c 1-12)
		grep -q "<tr id=\"id-$id\">" r.html
		[ $f = digits.h5 ] || [ "$(grep -o "href=\"#id-$id\"" r.html | wc -l)" -ge 1 ]
	done
	grep -qF '<h1>A &lt; B</h1>' r.html
	refute grep -qE '(src|href)="?(http|/|[a-z]+\.)' r.html
	command -v dot gnuplot > /dev/null || skip 'no Graphviz or gnuplot'
	# cells: what was found, once for search, genotype and models; curves: two of models, two of the search
	assert_equal "$(grep -c '<svg' r.html)" 5
	/usr/bin/python3 - <<-'EOS'
	from html.parser import HTMLParser
	import re
	text = open('r.html').read()
	stack = []
	class P(HTMLParser):
	    def handle_starttag(self, tag, attrs):
	        if tag not in ('meta', 'br'): stack.append(tag)
	    def handle_startendtag(self, tag, attrs): pass
	    def handle_endtag(self, tag):
	        assert stack.pop() == tag, (tag, self.getpos())
	P().feed(text)
	assert not stack
	for target in re.findall('href="#(id-[0-9a-f]+)"', text):
	    assert 'id="%s"' % target in text, target
	EOS
}
