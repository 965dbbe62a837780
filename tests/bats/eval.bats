load setup

setup() {
	cd "$BATS_TEST_TMPDIR"
	digits digits.h5 -q
	sd-train --arch DARTS_V2 --data digits.h5 --epochs 3 --init_channels 4 --layers 3 --limit-batches 6 -q -o m.h5
}

value() {
	awk -F '\t' -v m="$1" '$1 == m { print $4 }' "$2"
}

@test "eval: the numbers of the training, exactly, at any batch size" {
	sd-eval m.h5 digits.h5 --weights last > last
	sd-eval m.h5 --data digits.h5 > best
	for b in 1 7 100 1000; do
		sd-eval -q m.h5 digits.h5 --batch_size $b > other
		cmp best other
	done
	sd-eval m.h5 digits.h5 --threads 5 > other
	cmp best other
	/usr/bin/python3 -c 'import h5py' || skip "no h5py"
	/usr/bin/python3 - <<-EOS
	import h5py
	f = h5py.File('m.h5', 'r')
	h, b = f['history'], f['best_epoch'][()] - 1
	assert float('$(value loss last)') == h['valid_loss'][-1]
	assert float('$(value top1 last)') == h['valid_top1'][-1]
	assert float('$(value loss best)') == h['valid_loss'][b]
	assert float('$(value top5 best)') == h['valid_top5'][b]
	EOS
}

@test "eval: classes and confusion add up" {
	sd-eval m.h5 digits.h5 > out
	assert_equal "$(value n out)" 360
	assert_equal "$(awk -F '\t' '$1 == "confusion" { n += $4 } END { print n }' out)" 360
	assert_equal "$(grep -c '^accuracy' out)" 10
	awk -F '\t' '$1 == "confusion" && $2 == $3 { n += $4 } $1 == "top1" { t = $4 }
		END { d = t - 100 * n / 360; exit d * d > 1e-18 }' out
}

@test "eval: as JSON, and as an artifact" {
	sd-eval m.h5 digits.h5 --format json -o e.h5 > out.json
	run sd-verify e.h5
	assert_success
	manifest e.h5 | grep -q "$(artifact_id m.h5)"
	sd-eval m.h5 digits.h5 --context none -o - > f.h5
	sd-eval --context none - digits.h5 -o g.h5 < m.h5 > /dev/null
	cmp f.h5 g.h5
	assert_equal "$(artifact_id e.h5)" "$(artifact_id f.h5)"
	/usr/bin/python3 -c 'import h5py' || skip "no h5py"
	/usr/bin/python3 - <<-'EOS'
	import h5py, json
	j, f = json.load(open('out.json')), h5py.File('e.h5', 'r')
	assert j['loss'] == f['loss'][()] and j['top1'] == f['top1'][()] and j['n'] == f['n'][()] == 360
	assert j['confusion'] == f['confusion'][:].tolist() and j['accuracy'] == f['class_accuracy'][:].tolist()
	assert j['classes'] == [c.decode() for c in f['classes'][:]] and len(j['classes']) == 10
	EOS
}

@test "eval: several data sets in one call, each as by itself" {
	sd-prep digits "$DIGITS" -o other.h5 -q --limit_test 100
	sd-eval -q m.h5 digits.h5 other.h5 -o e.h5 > both
	assert_equal "$(columns both | tr '\n' ' ')" "measure class predicted value data "
	sd-eval -q m.h5 other.h5 | sed 's/digits$/digits (2)/' > other
	sd-eval -q m.h5 digits.h5 | cmp - <(grep -v '(2)$' both)
	cmp <(sed 1d other) <(grep '(2)$' both)
	run sd-verify e.h5
	assert_success
	run sd-collect e.h5
	assert_equal "${#lines[@]}" 3
	/usr/bin/python3 -c 'import h5py' || skip "no h5py"
	sd-eval -q m.h5 digits.h5 other.h5 --format json > j
	/usr/bin/python3 - <<-'EOS'
	import h5py, json
	f, j = h5py.File('e.h5'), json.load(open('j'))
	assert [e['data'] for e in j] == ['digits', 'digits (2)']
	for g, e in zip((f, f['also/2']), j):
	    assert g['top1'][()] == e['top1'] and g['n'][()] == e['n'] == len(g['label'])
	    assert abs(100 * (g['label'][:] == g['predicted'][:]).mean() - e['top1']) < 1e-12
	    for a in range(10):
	        for b in range(10):
	            assert e['confusion'][a][b] == ((g['label'][:] == a) & (g['predicted'][:] == b)).sum()
	EOS
}

@test "eval: the images that training left out" {
	sd-train --arch DARTS_V2 --data digits.h5 --epochs 2 --init_channels 4 --layers 2 --limit-batches 6 -q \
		--train_portion 0.7 -o part.h5
	sd-eval -q part.h5 digits.h5 --split valid --weights last > valid
	assert_equal "$(value n valid)" 432
	run sd-eval part.h5 digits.h5 --split valid
	refute_output --partial "was trained on"
	run sd-eval part.h5 digits.h5 --split valid --train_portion 0.5
	assert_output --partial "the model was trained on images that it is evaluated on"
	assert_line --partial "$(printf 'n\t-\t-\t719')"
	run sd-eval part.h5 digits.h5 --train_portion 0.7
	assert_failure 64
	run sd-eval part.h5 digits.h5 --split valid --train_portion 1
	assert_failure 64
	run sd-train --arch DARTS_V2 --data digits.h5 --epochs 1 --train_portion 0.0001 -o no.h5
	assert_failure 64
	/usr/bin/python3 -c 'import h5py' || skip "no h5py"
	/usr/bin/python3 - <<-EOS
	import h5py
	h = h5py.File('part.h5', 'r')['history']
	assert float('$(value loss valid)') == h['valid_loss'][-1]
	assert float('$(value top1 valid)') == h['valid_top1'][-1]
	EOS
}

@test "eval: how fast it was is in the context and on standard error" {
	sd-eval m.h5 digits.h5 -o e.h5 2> err > out
	grep -q '^sd-eval: digits: 360 images in .* images/s, .* ms an image in batches of 64$' err
	manifest e.h5 | /usr/bin/python3 -c 'import json, sys
m = json.load(sys.stdin)
s = m["context"]["speed"][0]
assert s["batch_size"] == 64 and abs(float(s["images_per_second"]) * float(s["milliseconds_per_image"]) - 1e3) < 1e-6
assert "speed" not in m["claim"]'
}

@test "eval: what doesn't fit or isn't a model" {
	run sd-eval digits.h5 digits.h5
	assert_failure 65
	assert_output --partial "where a model was expected"
	run sd-eval m.h5 m.h5
	assert_failure 65
	run sd-eval m.h5
	assert_failure 66
	run sd-eval - - < m.h5
	assert_failure 64
	run sd-eval m.h5 digits.h5 --data digits.h5
	assert_failure 64
	flip m.h5 3000
	run sd-eval m.h5 digits.h5
	assert_failure 65
	assert_output --partial m.h5
}
