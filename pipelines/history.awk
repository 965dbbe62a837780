# history.awk: sd-train's lines of progress
#   sd-train: epoch 1/15: lr 0.004167, train loss 2.0685 top1 29.85, test loss 2.6673 top1 9.72, ...
# as a table.  A run that was continued says some epochs twice: the last time counts.
BEGIN { print "epoch\tlr\ttrain_loss\ttrain_top1\ttest_loss\ttest_top1" }
/: epoch [0-9]+\/[0-9]+: / {
	gsub(/[,:]/, " ")
	split($3, epoch, "/")
	e = epoch[1] + 0
	row[e] = e "\t" $5 "\t" $8 "\t" $10 "\t" $13 "\t" $15
	if (e > last) last = e
}
END { for (e = 1; e <= last; e++) if (e in row) print row[e] }
