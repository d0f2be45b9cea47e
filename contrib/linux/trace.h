/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Tracepoints: events/cxl_type1_crypto in tracefs
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM cxl_type1_crypto

#if !defined(CXL_TYPE1_CRYPTO_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define CXL_TYPE1_CRYPTO_TRACE_H

#include <linux/tracepoint.h>

#include "ct1.h"

/* A part of a request is put into a ring */
TRACE_EVENT(ct1_submit,
	TP_PROTO(const struct ct1_device *dev, const struct ct1_request *r),
	TP_ARGS(dev, r),
	TP_STRUCT__entry(
		__field(int, index)
		__field(const void *, request)
		__field(bool, encrypt)
		__field(unsigned int, offset)
		__field(unsigned int, len)
		__field(unsigned int, segments)
	),
	TP_fast_assign(
		__entry->index = dev->vdev->index;
		__entry->request = r;
		__entry->encrypt = r->encrypt;
		__entry->offset = r->done;
		__entry->len = r->part;
		__entry->segments = r->segments;
	),
	TP_printk("virtio%d request %p %s offset %u len %u segments %u",
		  __entry->index, __entry->request,
		  __entry->encrypt ? "encrypt" : "decrypt",
		  __entry->offset, __entry->len, __entry->segments)
);

/* It came back; status is the device's, VIRTIO_CRYPTO_OK and so on */
TRACE_EVENT(ct1_return,
	TP_PROTO(const struct ct1_device *dev, const struct ct1_request *r),
	TP_ARGS(dev, r),
	TP_STRUCT__entry(
		__field(int, index)
		__field(const void *, request)
		__field(unsigned int, status)
	),
	TP_fast_assign(
		__entry->index = dev->vdev->index;
		__entry->request = r;
		__entry->status = r->status;
	),
	TP_printk("virtio%d request %p status %u", __entry->index,
		  __entry->request, __entry->status)
);

/* It will not come back: the device was reset, or is gone */
TRACE_EVENT(ct1_lost,
	TP_PROTO(const struct ct1_device *dev, const struct ct1_request *r),
	TP_ARGS(dev, r),
	TP_STRUCT__entry(
		__field(int, index)
		__field(const void *, request)
	),
	TP_fast_assign(
		__entry->index = dev->vdev->index;
		__entry->request = r;
	),
	TP_printk("virtio%d request %p", __entry->index, __entry->request)
);

/* The numbers are those of enum ct1_state, for tools that read the format */
#define ct1_trace_state(state)						\
	__print_symbolic(state, { 0, "no-device" }, { 1, "stopped" },	\
			 { 2, "hung" }, { 3, "not-ready" },		\
			 { 4, "errors" }, { 5, "device" })

/* A device's state */
TRACE_EVENT(ct1_state,
	TP_PROTO(const struct ct1_device *dev, int old, int now),
	TP_ARGS(dev, old, now),
	TP_STRUCT__entry(
		__field(int, index)
		__field(int, old)
		__field(int, now)
	),
	TP_fast_assign(
		__entry->index = dev->vdev->index;
		__entry->old = old;
		__entry->now = now;
	),
	TP_printk("virtio%d %s -> %s", __entry->index,
		  ct1_trace_state(__entry->old), ct1_trace_state(__entry->now))
);

#endif

#undef TRACE_INCLUDE_PATH
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_PATH .
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
