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
		sd-eval m.h5 digits.h5 --batch_size $b > other
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
