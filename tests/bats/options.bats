load setup

# What every tool does with its command line, as far as one table can make it so.

tools() {
	ls "$BUILD/bin" | grep '^sd-'
}

usage_status() {
	if [ "$1" = sd-verify ]; then echo 2; else echo 64; fi
}

@test "options: help and version" {
	for t in $(tools); do
		run "$t" --help
		assert_success
		assert_line -n 0 --partial "usage: $t "
		run "$t" --version
		assert_success
		assert_output --regexp "^$t \(sharpdarts\) [0-9]"
		run bash -c "'$t' --help > /dev/full"
		assert_failure
	done
}

@test "options: what isn't one" {
	for t in $(tools); do
		for wrong in --no-such-option --hel --versio=1 -@ --quie; do
			run "$t" $wrong
			assert_failure "$(usage_status "$t")"
			assert_line -n 0 --regexp "^$t: (unknown option|expected)"
			assert_line -n 1 "Try '$t --help'."
		done
	done
}

@test "options: the man page has them all, in its synopsis or below" {
	local missing=
	for t in $(tools); do
		[ -e "$ROOT/man/$t.1" ] || missing="$missing $t.1"
		for name in $("$t" --synopsis | cut -f 1); do
			sed 's/\\-/-/g' "$ROOT/man/$t.1" | grep -q -e "$name\b" || missing="$missing $t:$name"
		done
	done
	assert_equal "$missing" ""
}

@test "options: completion scripts are scripts" {
	for t in $(tools); do
		"$t" --completion | bash -n
		"$t" --completion | grep -q "^complete .* $t\$"
	done
}

@test "options: the original's names, aliases and defaults" {
	local table=$ROOT/../shared/golden/options.tsv tool program wrong=
	[ -e "$table" ] || skip "no $table"
	while read -r tool program; do
		"$tool" --synopsis > ours
		# --data is a folder there, and -e has an empty name for none
		wrong=$wrong$(awk -F'\t' -v tool="$tool" -v program="sharpDARTS cnn/$program" '
			function plain(v) {
				gsub(/\047/, "", v)
				if (v == "None" || v == "False") return ""
				if (v == "True") return "true"
				if (v == "1 / 8") return "0.125"
				return v ~ /^[-0-9.e]+$/ ? v + 0 "" : v
			}
			NR == FNR {
				n = split($1 " " $2, name, " ")
				for (i = 1; i <= n; i++) {
					known[name[i]] = 1
					def[name[i]] = plain($4 == "false" ? "" : $4)
				}
				next
			}
			$1 == program {
				n = split($2, name, " ")
				for (i = 1; i <= n; i++)
					if (!known[name[i]])
						printf "%s: no %s\n", tool, name[i]
					else if (name[i] != "--data" && def[name[i]] != plain($4))
						printf "%s: %s is %s, not %s\n", tool, name[i], def[name[i]], plain($4)
			}' ours "$table")
	done <<-EOS
	sd-search train_search.py
	sd-train train.py
	EOS
	assert_equal "$wrong" ""
}
