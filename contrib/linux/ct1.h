/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * CXL Type 1 crypto accelerators as a virtio driver: what its files share
 *
 * A request goes
 *
 *   modes.c -> request.c -> queue.c -> the device -> queue.c -> request.c
 *                  |            |                                   |
 *                  | no device  | lost: reset, removed              | error
 *                  v            v                                   v
 *              software.c <-----+-----------------------------------+
 *
 * and keys go modes.c -> session.c -> control.c.  device.c is the life of a
 * device; reset.c is how one is made sure that it writes no more.
 *
 * Locks, the outer one first: the virtio device's device_lock(), ct1_lock,
 * ctrl.lock, a queue's lock.
 */
#ifndef CXL_TYPE1_CRYPTO_H
#define CXL_TYPE1_CRYPTO_H

#include <crypto/aes.h>
#include <crypto/internal/skcipher.h>
#include <linux/atomic.h>
#include <linux/completion.h>
#include <linux/interrupt.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/pci.h>
#include <linux/rcupdate.h>
#include <linux/scatterlist.h>
#include <linux/seq_file.h>
#include <linux/spinlock.h>
#include <linux/virtio.h>
#include <linux/virtio_config.h>
#include <linux/virtio_crypto.h>
#include <linux/workqueue.h>

#include "compat.h"

#define CT1_NAME	"cxl_type1_crypto"

/* XTS has two */
#define CT1_MAX_KEY	(2 * AES_MAX_KEY_SIZE)

struct ct1_device;
struct ct1_mode;

/* ---- what is counted (stats.c) -------------------------------------------- */

enum ct1_count {
	CT1_DEVICE_REQUESTS,
	CT1_DEVICE_BYTES,
	CT1_SOFTWARE_REQUESTS,
	CT1_SOFTWARE_BYTES,
	CT1_DEVICE_ERRORS,
	CT1_SUBMIT_FAILURES,
	CT1_LOST,
	CT1_UNFIT,
	CT1_QUEUED,
	CT1_HANGS,
	CT1_ATTACHED,
	CT1_DETACHED,
	CT1_DESCRIPTORS,
	CT1_KICKS,
	CT1_INTERRUPTS,
	CT1_NUM_COUNTS,
};

struct ct1_counts {
	u64 value[CT1_NUM_COUNTS];
};

DECLARE_PER_CPU(struct ct1_counts, ct1_counts);

#define ct1_add(what, n)	this_cpu_add(ct1_counts.value[what], n)
#define ct1_inc(what)		ct1_add(what, 1)

u64 ct1_count(enum ct1_count what);
const char *ct1_count_name(enum ct1_count what);

extern unsigned int ct1_time_limit_ms;
extern unsigned int ct1_rest_ms;
extern unsigned int ct1_batch;
extern unsigned int ct1_fallback;
extern unsigned int ct1_fail_every;
extern unsigned int ct1_fail_alloc_every;
extern unsigned int ct1_notify_delay_ms;
extern unsigned int ct1_priority;
extern bool ct1_any;
extern bool ct1_takeover;

/* ---- transforms and their keys on the devices (modes.c, session.c) -------- */

/* A transform's key on a device, once for each direction */
struct ct1_session {
	struct list_head of_tfm;	/* RCU */
	struct ct1_device *dev;
	__le64 id[2];			/* decrypt, encrypt */
	struct rcu_head rcu;
};

struct ct1_tfm {
	const struct ct1_mode *mode;
	struct crypto_skcipher *soft;
	struct list_head sessions;	/* changed under ct1_lock, read by RCU */
	struct list_head node;		/* in ct1_tfms */
	unsigned int keylen;		/* 0: none yet */
	u8 key[CT1_MAX_KEY];
	/* For who looks into debugfs */
	char comm[TASK_COMM_LEN];
	pid_t pid;
	atomic64_t on_device;
	atomic64_t in_software;
};

/* ct1_tfms, ct1_devices, and the sessions between them */
extern struct mutex ct1_lock;
extern struct list_head ct1_tfms;
extern struct list_head ct1_devices;

void ct1_session_add_tfm(struct ct1_tfm *tfm);
void ct1_session_remove_tfm(struct ct1_tfm *tfm);
void ct1_session_set_key(struct ct1_tfm *tfm, const u8 *key,
			 unsigned int keylen);
int ct1_session_attach(struct ct1_device *dev);
void ct1_session_detach(struct ct1_device *dev);

/* ---- requests (request.c, software.c, sglist.c) --------------------------- */

/* The device-readable part that comes before the source */
struct ct1_header {
	struct virtio_crypto_op_data_req op;
	u8 iv[AES_BLOCK_SIZE];
};

/* Lists for a part of a request; sized to be a page */
#define CT1_TABLE_LEN	64

struct ct1_table {
	struct scatterlist src[CT1_TABLE_LEN];
	struct scatterlist dst[CT1_TABLE_LEN];
};

/* In each skcipher_request: nothing has to be allocated later */
struct ct1_request {
	struct list_head node;		/* in the queue's lists */
	struct ct1_table *table;
	const struct ct1_device *dev;	/* the one that has or had it */
	const struct ct1_device *failed; /* did not do it: only compared */
	unsigned long since;		/* jiffies, when the device was given it */
	unsigned int done;		/* bytes; results, whatever happens */
	unsigned int part;		/* bytes under way behind those */
	unsigned int segments;		/* descriptors that takes */
	u8 last[AES_BLOCK_SIZE];	/* of a source that is overwritten */
	struct ct1_header header;
	u8 status;
	bool encrypt;
	union {
		struct {
			struct scatterlist out, in;
		} sg;
		struct scatterlist rest[2][2];	/* software: what is not done */
	};
	struct work_struct redo;
	struct skcipher_request sub;	/* of the software; the last one */
};

static inline struct skcipher_request *ct1_parent(struct ct1_request *r)
{
	return container_of((void *)r, struct skcipher_request, __ctx);
}

static inline struct ct1_tfm *ct1_tfm_of(struct ct1_request *r)
{
	return crypto_skcipher_ctx(crypto_skcipher_reqtfm(ct1_parent(r)));
}

int ct1_request_init(void);
void ct1_request_exit(void);
int ct1_request_start(struct skcipher_request *req, bool encrypt);
void ct1_request_returned(struct ct1_request *r);
void ct1_request_lost(struct ct1_request *r);
void ct1_request_elsewhere(struct ct1_request *r);

unsigned int ct1_sg_take(struct scatterlist *to, unsigned int room,
			 struct scatterlist *from, unsigned int skip,
			 unsigned int len);
int ct1_sg_exact(struct scatterlist *sg, unsigned int len, unsigned int max);

int ct1_software_init(void);
void ct1_software_exit(void);
int ct1_software_now(struct skcipher_request *req);
void ct1_software_redo(struct ct1_request *r);
void ct1_tell(struct skcipher_request *req, int err);

/* ---- modes of AES (modes.c) ----------------------------------------------- */

struct ct1_mode {
	const char *name;
	u32 algo;			/* VIRTIO_CRYPTO_CIPHER_* */
	unsigned int ivsize;
	unsigned int least;		/* bytes of a request */
	bool empty;			/* 0 bytes are none to do, and fine */
	bool partial;			/* any length, not just whole blocks */
	bool splits;			/* a request may be done in parts */
	/* Before the part at r->done is given to the device */
	void (*before)(struct ct1_request *r);
	/* When it is done: the IV of what follows */
	void (*after)(struct ct1_request *r);
};

int ct1_modes_register(void);
void ct1_modes_unregister(void);

/* ---- queues (queue.c) ----------------------------------------------------- */

struct ct1_queue {
	spinlock_t lock;		/* the ring, and what is below */
	struct virtqueue *vq;
	struct ct1_device *dev;
	bool live;			/* requests may be added */
	struct list_head inflight;	/* the oldest one first */
	struct list_head waiting;	/* for room in the ring */
	unsigned int num_inflight;
	unsigned int num_waiting;
	unsigned int unkicked;		/* in the ring, not announced */
	struct tasklet_struct tasklet;
	char name[24];
};

void ct1_queue_init(struct ct1_queue *q, struct ct1_device *dev,
		    unsigned int number);
void ct1_queue_callback(struct virtqueue *vq);
int ct1_queue_submit(struct ct1_queue *q, struct ct1_request *r);
void ct1_queue_open(struct ct1_queue *q);
void ct1_queue_close(struct ct1_queue *q);
void ct1_queue_drain(struct ct1_queue *q);
void ct1_queue_abandon(struct ct1_queue *q);
bool ct1_queue_overdue(struct ct1_queue *q, unsigned long limit);

/* ---- the control queue (control.c) ---------------------------------------- */

struct ct1_control {
	struct mutex lock;		/* one request at a time */
	struct virtqueue *vq;
	struct completion answered;
	bool stuck;			/* a buffer is still the device's */
	/* Device-readable and device-writable; one request at a time */
	struct virtio_crypto_op_ctrl_req req;
	u8 key[CT1_MAX_KEY];
	struct virtio_crypto_session_input input;
	struct virtio_crypto_inhdr inhdr;
};

void ct1_control_init(struct ct1_control *ctrl);
void ct1_control_callback(struct virtqueue *vq);
void ct1_control_abandon(struct ct1_control *ctrl);
int ct1_control_create(struct ct1_device *dev, const struct ct1_tfm *tfm,
		       bool encrypt, __le64 *id);
void ct1_control_destroy(struct ct1_device *dev, __le64 id);

/* ---- devices (device.c, reset.c, match.c) --------------------------------- */

enum ct1_state {
	CT1_NO_DEVICE,
	CT1_STOPPED,		/* suspended, or reset by the kernel */
	CT1_HUNG,		/* reset, rests; then it is tried again */
	CT1_NOT_READY,		/* says so itself */
	CT1_ERRORS,		/* works, but answered with an error last */
	CT1_DEVICE,
	CT1_NUM_STATES,
};

extern const char *const ct1_state_names[CT1_NUM_STATES];

struct ct1_device {
	struct virtio_device *vdev;
	struct pci_dev *pdev;
	struct list_head node;		/* in ct1_devices, while attached */
	enum ct1_state state;
	bool in_use;			/* counted as attached */

	struct ct1_queue *queues;
	unsigned int num_queues;
	struct ct1_control ctrl;

	/* From the configuration */
	u32 algos;			/* bits 1 << VIRTIO_CRYPTO_CIPHER_* */
	unsigned int max_key;
	unsigned int max_part;		/* bytes of a request */
	unsigned int max_segments;	/* descriptors of a request */

	/* What has to be looked at; manage runs with device_lock() held */
	unsigned long events;
	struct delayed_work manage;
	struct delayed_work watch;	/* for what is overdue */
	bool removing;
	bool frozen;			/* suspended, or reset by others */
	unsigned int rests;		/* hangs since it last worked well */
	atomic_t good;			/* requests since the last hang */
	unsigned long rested;		/* jiffies, when it may be tried again */

	/* reset.c */
	u8 __iomem *common;
	const struct virtio_config_ops *config;	/* the transport's */
	struct virtio_config_ops ops;
	struct pci_saved_state *saved;

	atomic64_t requests;
	atomic_t avoided;		/* in CT1_ERRORS: requests since a try */
	struct rcu_head rcu;
};

enum ct1_event {
	CT1_EVENT_CONFIG,
	CT1_EVENT_HANG,
};

extern struct workqueue_struct *ct1_wq;
extern struct virtio_driver ct1_driver;

void ct1_device_event(struct ct1_device *dev, enum ct1_event event);
void ct1_device_watch(struct ct1_device *dev);
void ct1_device_error(struct ct1_device *dev);
void ct1_device_good(struct ct1_device *dev);
enum ct1_state ct1_device_best_state(void);

int ct1_reset_init(struct ct1_device *dev);
void ct1_reset_exit(struct ct1_device *dev);
void ct1_reset_remember(struct ct1_device *dev);
bool ct1_reset_present(struct ct1_device *dev);
bool ct1_reset_revive(struct ct1_device *dev);
void ct1_reset_silence(struct ct1_device *dev);

bool ct1_match(struct virtio_device *vdev);
int ct1_match_init(void);
void ct1_match_exit(void);

/* ---- debugfs.c ------------------------------------------------------------ */

void ct1_debugfs_init(void);
void ct1_debugfs_exit(void);

#endif
