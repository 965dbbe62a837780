# animate.awk: the pictures that dot drew (SVG files, in order) as the frames of one animated SVG.
#   awk -f animate.awk [-v seconds=0.5] [-v hold=2] frames/*.svg > animation.svg
# Every frame is shown for so many seconds, the last one longer; where animations aren't played, the last one is
# shown.
BEGIN {
	if (seconds == "") seconds = 0.5
	if (hold == "") hold = 2
}
FNR == 1 { n++; body[n] = ""; inside = 0 }
{
	line = $0
	if (!inside && line !~ /<svg/) next # XML declaration, document type
	inside = 1
	gsub(/ id="[^"]*"/, "", line) # the same in all frames
	body[n] = body[n] line "\n"
}
# The number behind `name="` in the frame's first element.
function number(text, name,    at) {
	at = index(text, name "=\"")
	return substr(text, at + length(name) + 2) + 0
}
END {
	if (!n) exit 1
	for (i = 1; i <= n; i++) {
		sub(/^[^<]*<svg/, "<svg", body[i])
		w[i] = number(body[i], "width"); h[i] = number(body[i], "height")
		if (w[i] > W) W = w[i]
		if (h[i] > H) H = h[i]
	}
	total = seconds * (n - 1) + hold
	printf "<svg xmlns=\"http://www.w3.org/2000/svg\" xmlns:xlink=\"http://www.w3.org/1999/xlink\" "
	printf "width=\"%gpt\" height=\"%gpt\" viewBox=\"0 0 %g %g\">\n", W, H, W, H
	printf "<rect width=\"%g\" height=\"%g\" fill=\"white\"/>\n", W, H
	for (i = 1; i <= n; i++) {
		from = (i - 1) * seconds / total; to = i * seconds / total
		printf "<g visibility=\"%s\">", i == n ? "visible" : "hidden"
		if (n > 1 && i == n)
			printf "<animate attributeName=\"visibility\" calcMode=\"discrete\" repeatCount=\"indefinite\" " \
				"dur=\"%gs\" values=\"hidden;visible\" keyTimes=\"0;%.6f\"/>\n", total, from
		else if (n > 1 && i == 1)
			printf "<animate attributeName=\"visibility\" calcMode=\"discrete\" repeatCount=\"indefinite\" " \
				"dur=\"%gs\" values=\"visible;hidden\" keyTimes=\"0;%.6f\"/>\n", total, to
		else if (n > 1)
			printf "<animate attributeName=\"visibility\" calcMode=\"discrete\" repeatCount=\"indefinite\" " \
				"dur=\"%gs\" values=\"hidden;visible;hidden\" keyTimes=\"0;%.6f;%.6f\"/>\n", total, from, to
		# in the middle of the picture, without the frame's own svg element
		sub(/<svg[^>]*>/, "", body[i])
		sub(/<\/svg>[ \n]*$/, "", body[i])
		printf "<g transform=\"translate(%g,%g)\">\n%s</g></g>\n", (W - w[i]) / 2, (H - h[i]) / 2, body[i]
	}
	print "</svg>"
}
