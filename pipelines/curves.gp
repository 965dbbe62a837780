# curves.gp: error by epoch of every run in `files`, training and test.
set datafile separator "\t"
set key top right
set xlabel "epoch"
set ylabel "error (%)"
set grid
set logscale y
set yrange [0.1:100]
# no error at all has no logarithm: it is drawn at the bottom
error(top1) = 100 - top1 < 0.1 ? 0.1 : 100 - top1
plot for [f in files] f using "epoch":(error(column("train_top1"))) with lines lc rgb "#a0b8d8" notitle, \
	for [f in files] f using "epoch":(error(column("test_top1"))) with lines lw 2 lc rgb "#c04020" notitle, \
	NaN with lines lc rgb "#a0b8d8" title "training", \
	NaN with lines lw 2 lc rgb "#c04020" title "test"
