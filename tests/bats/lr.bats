load setup

@test "lr: columns, header, one line an epoch" {
	run sd-lr --epochs 10
	assert_success
	assert_equal "${#lines[@]}" 11
	assert_line -n 0 "$(printf 'epoch\tlr\tcos_power_proportion\tcos_proportion')"
	assert_line -n 1 --partial "$(printf '1\t0.1\t1\t0.975528258147')"
	assert_line -n 10 "$(printf '10\t0.0001\t0\t0')"
}

@test "lr: the numbers are the same under any locale and processor" {
	sd-lr --epochs 300 --lr 0.1 --min_lr 0.00075 --exponent_order 10 --warmup_epochs 10 | sha256sum > a
	LC_ALL=de_DE.UTF-8 GLIBC_TUNABLES=glibc.cpu.hwcaps=-AVX2,-FMA,-AVX512F \
		sd-lr --epochs 300 --lr 0.1 --min_lr 0.00075 --exponent_order 10 --warmup_epochs 10 | sha256sum > b
	assert_equal "$(cat a)" "$(cat b)"
	assert_equal "$(cut -c1-16 a)" "a9cb94e597a44f1b"
}

@test "lr: the original's names are options too, underscore or hyphen" {
	sd-lr --epochs 20 --max_lr 0.025 --min_lr 1e-8 --exponent_order 2 --warmup_epochs 5 > a
	sd-lr --epochs=20 --learning-rate 0.025 --learning_rate_min 1e-8 \
		--lr_power_annealing_exponent_order 2 --warmup-epochs 5 > b
	cmp a b
	run sed -n 7p a
	assert_output --regexp $'^6\t0.025\t1\t'
	run sed -n 2p a
	assert_output --regexp $'^1\t0.004166[0-9]*\t0.16666666666666666\t'
}

@test "lr: a list of epochs, a later end, and only the rates" {
	run sd-lr --epochs 1,5,9,20 --max-epoch 40 --exponent_order 2 --min_lr 0.001 --return_intermediates false
	assert_success
	assert_line -n 0 $'epoch\tlr'
	assert_line -n 1 $'1\t0.1'
	assert_line -n 2 --partial $'5\t0.09152955556'
	assert_line -n 4 $'20\t0.001'
	run sd-lr --epochs 301-303,310 --return_intermediates false
	assert_success
	assert_line -n 3 --partial $'303\t'
	assert_line -n 4 $'310\t0.0001'
}

@test "lr: starting later drops rates only if they are not restarted" {
	sd-lr --epochs 40 > all
	sd-lr --epochs 40 --start_epoch 11 > restarted
	cmp all restarted
	sd-lr --epochs 40 --start_epoch 11 --restart_lr false > rest
	sed 2,11d all | cmp - rest
	run sd-lr --epochs 40 --start_epoch 41 --restart_lr false
	assert_success
	assert_equal "${#lines[@]}" 1
}

@test "lr: what makes the original raise or give NaN is a usage error" {
	for args in "" "--epochs 0" "--epochs 1" "--epochs 60 --exponent_order 0.5" "--epochs 5 --warmup_epochs 5" \
		"--epochs 3 --warmup_epochs 5" "--epochs 11-30 --warmup_epochs 5" "--epochs 1,2,x" "--epochs 3-1" \
		"--epochs 1," "--epochs -4" "--epochs 9 --restart_lr maybe" "--epochs 9 --max_lr nan" "--epochs 9 extra"; do
		run sd-lr $args
		assert_failure 64
		assert_line -n 0 --regexp '^sd-lr: '
	done
}

@test "lr: a full disk is a failure" {
	[ -w /dev/full ] || skip "no /dev/full"
	run sh -c 'sd-lr --epochs 10 > /dev/full'
	assert_failure 74
}
