/* stream.cpp: streams, events and graphs.
 *
 * Without a seed work is done when it is given to a stream.  Under a seed it is put off until somebody waits
 * for it: a host that reads too early, or overwrites pinned memory too early, gets other results. */
#include "emulator.h"

#include <string.h>
#include <time.h>

#include <deque>
#include <memory>
#include <set>

typedef std::function<void()> work_fn;

struct CUgraphNode_st {
	work_fn work;
};
struct CUgraph_st {
	std::vector<CUgraphNode_st> nodes;
};
struct CUgraphExec_st {
	std::shared_ptr<std::vector<CUgraphNode_st>> nodes;
};
struct CUstream_st {
	std::deque<work_fn> pending;
	cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
	cudaStreamCaptureMode mode = cudaStreamCaptureModeGlobal;
	CUgraph_st *graph = NULL; /* what it captures into */
};

/* What an event's records share with the work that marks them done. */
struct event_state {
	unsigned long recorded = 0, done = 0; /* counted */
	double ms = 0;
	CUstream_st *stream = NULL;           /* of the last record */
	bool captured = false;
};
struct CUevent_st {
	std::shared_ptr<event_state> state;
	bool timed;
};

namespace emu {

static CUstream_st legacy; /* the stream NULL */
static std::set<CUstream_st *> streams;
static std::set<CUevent_st *> events;
static std::set<CUgraph_st *> graphs;
static std::set<CUgraphExec_st *> execs;

bool is_stream(cudaStream_t stream) { return !stream || streams.count(stream); }

bool is_capturing(cudaStream_t stream) { return stream && stream->status != cudaStreamCaptureStatusNone; }

static bool step(CUstream_st *s)
{
	if (s->pending.empty())
		return false;
	work_fn work = std::move(s->pending.front());
	s->pending.pop_front();
	if (!sticky_error())
		work();
	return true;
}

void drain(cudaStream_t stream)
{
	if (!stream)
		return drain_all();
	while (step(stream))
		;
}

void drain_all()
{
	for (CUstream_st *s : streams)
		drain(s);
}

cudaError_t forbid_capture()
{
	cudaError_t e = cudaSuccess;

	for (CUstream_st *s : streams)
		if (s->status != cudaStreamCaptureStatusNone && s->mode != cudaStreamCaptureModeRelaxed) {
			s->status = cudaStreamCaptureStatusInvalidated;
			e = set_error(cudaErrorStreamCaptureUnsupported);
		}
	return e;
}

cudaError_t enqueue(cudaStream_t stream, work_fn work)
{
	if (!stream) {
		if (forbid_capture())
			return set_error(cudaErrorStreamCaptureImplicit);
		drain_all();
		work();
	} else if (stream->status == cudaStreamCaptureStatusInvalidated) {
		return set_error(cudaErrorStreamCaptureInvalidated);
	} else if (stream->status == cudaStreamCaptureStatusActive) {
		stream->graph->nodes.push_back({std::move(work)});
	} else if (seed()) {
		stream->pending.push_back(std::move(work));
	} else {
		work();
	}
	return cudaSuccess;
}

}

using namespace emu;

/* ---- streams ---- */

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *stream, unsigned flags)
{
	lock held;

	if (sticky_error())
		return sticky_error();
	if (flags & ~static_cast<unsigned>(cudaStreamNonBlocking))
		return set_error(cudaErrorInvalidValue);
	*stream = new CUstream_st();
	streams.insert(*stream);
	return cudaSuccess;
}

cudaError_t cudaStreamCreate(cudaStream_t *stream) { return cudaStreamCreateWithFlags(stream, 0); }

cudaError_t cudaStreamDestroy(cudaStream_t stream)
{
	lock held;

	if (!stream || !is_stream(stream))
		return set_error(cudaErrorInvalidResourceHandle);
	drain(stream);
	for (CUevent_st *e : events)
		if (e->state->stream == stream)
			e->state->stream = NULL;
	streams.erase(stream);
	delete stream->graph;
	delete stream;
	return sticky_error();
}

static cudaError_t check_stream(cudaStream_t stream)
{
	if (sticky_error())
		return sticky_error();
	return is_stream(stream) ? cudaSuccess : set_error(cudaErrorInvalidResourceHandle);
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream)
{
	lock held;

	if (check_stream(stream))
		return check_stream(stream);
	if (is_capturing(stream)) {
		stream->status = cudaStreamCaptureStatusInvalidated;
		return set_error(cudaErrorStreamCaptureUnsupported);
	}
	count_wait();
	drain(stream);
	return sticky_error();
}

cudaError_t cudaStreamQuery(cudaStream_t stream)
{
	lock held;

	if (check_stream(stream))
		return check_stream(stream);
	if (is_capturing(stream)) {
		stream->status = cudaStreamCaptureStatusInvalidated;
		return set_error(cudaErrorStreamCaptureUnsupported);
	}
	count_wait(); /* who asks, waits */
	/* time passes: one piece of work is done for each question */
	return stream && step(stream) ? cudaErrorNotReady : sticky_error();
}

/* ---- events ---- */

static double now_ms()
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return static_cast<double>(t.tv_sec) * 1e3 + static_cast<double>(t.tv_nsec) * 1e-6;
}

static cudaError_t check_event(cudaEvent_t event)
{
	if (sticky_error())
		return sticky_error();
	return events.count(event) ? cudaSuccess : set_error(cudaErrorInvalidResourceHandle);
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t *event, unsigned flags)
{
	lock held;

	if (sticky_error())
		return sticky_error();
	if (flags & ~static_cast<unsigned>(cudaEventBlockingSync | cudaEventDisableTiming))
		return set_error(cudaErrorInvalidValue);
	*event = new CUevent_st{std::make_shared<event_state>(), !(flags & cudaEventDisableTiming)};
	events.insert(*event);
	return cudaSuccess;
}

cudaError_t cudaEventCreate(cudaEvent_t *event) { return cudaEventCreateWithFlags(event, 0); }

cudaError_t cudaEventDestroy(cudaEvent_t event)
{
	lock held;

	if (!events.erase(event))
		return set_error(cudaErrorInvalidResourceHandle);
	delete event;
	return sticky_error();
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream)
{
	lock held;

	if (check_event(event))
		return check_event(event);
	if (check_stream(stream))
		return check_stream(stream);
	std::shared_ptr<event_state> state = event->state;
	state->captured = is_capturing(stream);
	if (state->captured)
		return cudaSuccess; /* a dependency, which the order of a stream has anyway */
	unsigned long number = ++state->recorded;
	state->stream = stream;
	return enqueue(stream, [state, number] {
		state->done = number;
		state->ms = now_ms();
	});
}

static void wait_for(event_state *e, unsigned long number)
{
	while (e->done < number && e->stream && step(e->stream))
		;
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned)
{
	lock held;

	if (check_event(event))
		return check_event(event);
	if (check_stream(stream))
		return check_stream(stream);
	std::shared_ptr<event_state> state = event->state;
	if (state->captured || is_capturing(stream))
		return set_error(cudaErrorNotSupported); /* one stream captures at a time here */
	unsigned long number = state->recorded;
	return enqueue(stream, [state, number] { wait_for(state.get(), number); });
}

cudaError_t cudaEventSynchronize(cudaEvent_t event)
{
	lock held;

	if (check_event(event))
		return check_event(event);
	if (event->state->captured)
		return set_error(cudaErrorCapturedEvent);
	count_wait();
	wait_for(event->state.get(), event->state->recorded);
	return sticky_error();
}

cudaError_t cudaEventQuery(cudaEvent_t event)
{
	lock held;

	if (check_event(event))
		return check_event(event);
	event_state *e = event->state.get();
	if (e->captured)
		return set_error(cudaErrorCapturedEvent);
	count_wait();
	if (e->done >= e->recorded)
		return cudaSuccess;
	if (e->stream)
		step(e->stream);
	return cudaErrorNotReady;
}

cudaError_t cudaEventElapsedTime(float *ms, cudaEvent_t start, cudaEvent_t end)
{
	lock held;

	if (check_event(start) || check_event(end))
		return set_error(cudaErrorInvalidResourceHandle);
	if (!start->timed || !end->timed || !start->state->recorded || !end->state->recorded ||
	    start->state->captured || end->state->captured)
		return set_error(cudaErrorInvalidResourceHandle);
	if (start->state->done < start->state->recorded || end->state->done < end->state->recorded)
		return cudaErrorNotReady;
	*ms = static_cast<float>(end->state->ms - start->state->ms);
	return cudaSuccess;
}

/* ---- graphs ---- */

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode mode)
{
	lock held;

	if (check_stream(stream))
		return check_stream(stream);
	if (!stream)
		return set_error(cudaErrorStreamCaptureUnsupported);
	if (is_capturing(stream))
		return set_error(cudaErrorIllegalState);
	stream->status = cudaStreamCaptureStatusActive;
	stream->mode = mode;
	stream->graph = new CUgraph_st();
	return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t *graph)
{
	lock held;

	*graph = NULL;
	if (!stream || !is_stream(stream) || !is_capturing(stream))
		return set_error(cudaErrorIllegalState);
	bool good = stream->status == cudaStreamCaptureStatusActive;
	if (good) {
		*graph = stream->graph;
		graphs.insert(*graph);
	} else {
		delete stream->graph;
	}
	stream->graph = NULL;
	stream->status = cudaStreamCaptureStatusNone;
	return good ? sticky_error() : set_error(cudaErrorStreamCaptureInvalidated);
}

cudaError_t cudaStreamIsCapturing(cudaStream_t stream, cudaStreamCaptureStatus *status)
{
	lock held;

	if (check_stream(stream))
		return check_stream(stream);
	*status = stream ? stream->status : cudaStreamCaptureStatusNone;
	return cudaSuccess;
}

cudaError_t cudaGraphGetNodes(cudaGraph_t graph, cudaGraphNode_t *nodes, size_t *count)
{
	lock held;

	if (!graphs.count(graph))
		return set_error(cudaErrorInvalidValue);
	for (size_t i = 0; nodes && i < *count; i++)
		nodes[i] = i < graph->nodes.size() ? &graph->nodes[i] : NULL;
	if (!nodes || *count > graph->nodes.size())
		*count = graph->nodes.size();
	return cudaSuccess;
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph)
{
	lock held;

	if (!graphs.erase(graph))
		return set_error(cudaErrorInvalidValue);
	delete graph;
	return cudaSuccess;
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t *exec, cudaGraph_t graph, unsigned long long flags)
{
	lock held;

	if (sticky_error())
		return sticky_error();
	if (!graphs.count(graph) || flags)
		return set_error(cudaErrorInvalidValue);
	*exec = new CUgraphExec_st{std::make_shared<std::vector<CUgraphNode_st>>(graph->nodes)};
	execs.insert(*exec);
	return cudaSuccess;
}

cudaError_t cudaGraphUpload(cudaGraphExec_t exec, cudaStream_t stream)
{
	lock held;

	if (check_stream(stream))
		return check_stream(stream);
	return execs.count(exec) ? cudaSuccess : set_error(cudaErrorInvalidValue);
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream)
{
	lock held;

	if (check_stream(stream))
		return check_stream(stream);
	if (!execs.count(exec))
		return set_error(cudaErrorInvalidValue);
	if (!is_capturing(stream) && count_work())
		return sticky_error();
	auto nodes = exec->nodes;
	return enqueue(stream, [nodes] {
		for (const CUgraphNode_st &n : *nodes)
			n.work();
	});
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec)
{
	lock held;

	if (!execs.erase(exec))
		return set_error(cudaErrorInvalidValue);
	delete exec;
	return cudaSuccess;
}

cudaError_t cudaDeviceReset(void)
{
	lock held;

	drain_all();
	return sticky_error();
}
