/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the files of cxl_type1_cbc share
 *
 *   cbc_main.c     the algorithm: keys, and the way of a request
 *   cbc_gate.c     what is inside the device, for how long, and who waits
 *   cbc_device.c   the stock driver's transforms and its engine thread
 *   cbc_bus.c      devices that come, go, are not ready, or hang
 *   cbc_silence.c  making certain that a device does not write any more
 *   cbc_stats.c    counters, parameters and the state that is logged
 */

#ifndef CXL_TYPE1_CBC_H
#define CXL_TYPE1_CBC_H

#include <crypto/aes.h>
#include <crypto/algapi.h>
#include <crypto/internal/skcipher.h>
#include <crypto/skcipher.h>
#include <linux/list.h>
#include <linux/scatterlist.h>
#include <linux/types.h>
#include <linux/version.h>
#include <linux/workqueue.h>

#define DEVICE_DRIVER	"virtio_crypto_aes_cbc"

/*
 * A device may appear after a transform has told its user how large a request
 * is, so room for the stock driver's part is set aside in advance.
 */
#define DEVICE_REQSIZE	256

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 3, 0)
typedef struct crypto_async_request *completion_arg;
#define completion_data(arg)	((arg)->data)
#else
typedef void *completion_arg;
#define completion_data(arg)	(arg)
#endif

struct cbc_tfm {
	struct list_head node;		/* device_mutex */
	struct crypto_skcipher *soft;
	struct crypto_skcipher *device;	/* NULL: there is none to use */
	unsigned int keylen;		/* 0: no key yet */
	u8 key[AES_MAX_KEY_SIZE];	/* for the next device */
};

struct cbc_req {
	struct list_head node;		/* what is inside the device */
	struct work_struct redo;
	struct scatterlist scratch_sg;	/* fault injection: see inject() */
	void *scratch;
	unsigned long since;		/* inside, in jiffies */
	unsigned int cost;		/* descriptors held in the ring */
	bool encrypt;
	u8 iv[AES_BLOCK_SIZE];		/* the stock driver's to write to */
	struct skcipher_request sub;	/* last: its context follows */
};

static inline struct skcipher_request *to_parent(struct cbc_req *creq)
{
	return container_of((void *)creq, struct skcipher_request, __ctx);
}

static inline struct cbc_tfm *req_tfm(struct skcipher_request *req)
{
	return crypto_skcipher_ctx(crypto_skcipher_reqtfm(req));
}

/* cbc_main.c */
int cbc_run_sub(struct cbc_req *creq);
void cbc_tell(struct crypto_async_request *req, int err);
void cbc_redo(struct cbc_req *creq);

/* cbc_gate.c */
void gate_init(void);
void gate_exit(void);
unsigned int gate_cost(struct skcipher_request *req);
int gate_enter(struct skcipher_request *req);
void gate_leave(struct cbc_req *creq);
void gate_close(void);
void gate_unblock(void);
bool gate_open(void);
bool gate_drained(unsigned long timeout);
bool gate_overdue(void);
void gate_redo_lost(void);

/* cbc_device.c */
int device_init(void);
void device_exit(void);
void device_submit(struct skcipher_request *req);
void device_add_tfm(struct cbc_tfm *ctx);
void device_remove_tfm(struct cbc_tfm *ctx);
int device_set_key(struct cbc_tfm *ctx, const u8 *key, unsigned int keylen);
void device_attach_later(void);
bool device_is_tested(void);
bool device_detach_all(unsigned long timeout);
bool device_control_overdue(void);
void device_rest_engines(void);
void device_forget_engines(void);

/* cbc_bus.c */
int bus_init(void);
void bus_exit(void);
unsigned int bus_usable(void);
void bus_device_hangs(void);

/* cbc_silence.c */
struct device;
struct virtio_config_ops;
struct virtio_device;
bool silence_pulled_out(struct device *parent);
bool silence_is_broken(struct virtio_device *vdev);
bool silence_is_deaf(struct virtio_device *vdev);
bool silence_is_waiting(struct virtio_device *vdev, u16 *progress);
const struct virtio_config_ops *silence_spare_reset(struct virtio_device *vdev);
void silence_harvest(struct virtio_device *vdev);
void silence(struct virtio_device *vdev);

/* cbc_stats.c */
enum cbc_state {
	STATE_UNUSED, STATE_DEVICE, STATE_NO_DEVICE, STATE_NOT_READY,
	STATE_ERRORS, STATE_HUNG,
};

struct cbc_stats {
	atomic64_t device_requests;	/* done by the device */
	atomic64_t device_bytes;
	atomic64_t software_requests;	/* done, or redone, in software */
	atomic64_t software_bytes;
	atomic64_t device_errors;	/* came back from the device with an error */
	atomic64_t submit_failures;	/* the stock driver would not take them */
	atomic64_t unfit;		/* too many segments for the ring */
	atomic64_t queued;		/* had to wait for room in the ring */
	atomic64_t lost;		/* never came back: the device is gone */
	atomic64_t hangs;		/* the time limit was exceeded */
	atomic64_t attached;		/* a device was taken into use */
	atomic64_t detached;		/* and given up */
};

extern struct cbc_stats stats;
extern unsigned int ring_budget;
extern unsigned int time_limit_ms;
extern unsigned int rest_ms;
extern unsigned int fallback;
extern unsigned int fail_every;
extern unsigned int fail_alloc_every;

void stats_init(void);
void stats_exit(void);
enum cbc_state state_now(void);
void enter_state(enum cbc_state state);
void note_error(void);
void note_good(void);

#endif
