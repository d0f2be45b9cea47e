/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Tests of an skcipher driver from within the kernel: what its parts share
 */
#ifndef CXL_CRYPTO_TEST_H
#define CXL_CRYPTO_TEST_H

#include <crypto/aes.h>
#include <crypto/skcipher.h>
#include <linux/completion.h>
#include <linux/kernel.h>
#include <linux/llist.h>
#include <linux/prandom.h>
#include <linux/scatterlist.h>
#include <linux/types.h>

#define CCT_NAME	"cxl_crypto_test"
#define CCT_MAX_KEY	(2 * AES_MAX_KEY_SIZE)
#define CCT_MAX_DATA	(128 * 1024)
#define CCT_SEGMENTS	320

/* ---- main.c: what the user chose ------------------------------------------ */

extern char *cct_driver, *cct_reference, *cct_sabotage;
extern unsigned int cct_seed, cct_rounds, cct_timeout, cct_seconds;
extern bool cct_device_only;
extern unsigned int cct_threads, cct_depth, cct_size, cct_load_seconds;

/* ---- report.c: points of the test, and remarks ---------------------------- */

int cct_report_init(void);
void cct_report_exit(void);
void cct_begin(const char *name);
bool cct_end(void);
void cct_finish(void);
void __printf(1, 2) cct_fail(const char *fmt, ...);
void __printf(1, 2) cct_remark(const char *fmt, ...);
bool cct_failed(void);
/* A request did not come back: nothing more can be tried */
bool cct_lost(void);
void cct_set_lost(bool for_good);

/* ---- modes.c: what the crypto API says about AES' modes ------------------- */

struct cct_mode {
	const char *name;
	/* Software that is independent of the processor, if the kernel has it */
	const char *generic;
	unsigned int ivsize;
	unsigned int keys;		/* AES keys that a key consists of */
	unsigned int least;		/* shortest message that is not empty */
	unsigned int grain;		/* lengths are multiples of it */
	bool empty;			/* nothing to do is no error */
	/* From the IV of a message to that behind it; NULL: undefined */
	void (*next_iv)(u8 *iv, const u8 *cipher, unsigned int len);
};

const struct cct_mode *cct_mode_find(const char *name);
bool cct_mode_takes(const struct cct_mode *mode, unsigned int len);

/* ---- vectors.c ------------------------------------------------------------ */

struct cct_vector {
	const char *name;
	const char *mode;
	unsigned int keylen;
	unsigned int len;
	const char *key;
	const char *iv;
	const char *plain;
	const char *cipher;
};

extern const struct cct_vector cct_vectors[];
extern const unsigned int cct_num_vectors;

/* ---- pair.c: a transform of the driver, and software with the same key ---- */

struct cct_pair {
	const struct cct_mode *mode;
	struct crypto_skcipher *tfm;
	struct crypto_skcipher *ref;
	atomic_t lost;			/* requests that did not come back */
};

struct cct_pair *cct_pair_new(void);
void cct_pair_free(struct cct_pair *pair);
bool cct_pair_passes(const struct cct_pair *pair, const u8 *key,
		     unsigned int keylen);
int cct_pair_key(struct cct_pair *pair, const u8 *key, unsigned int keylen);
int cct_pair_random_key(struct cct_pair *pair, struct rnd_state *rnd);
int cct_pair_random_key_of(struct cct_pair *pair, struct rnd_state *rnd,
			   unsigned int size);
int cct_pair_software(struct cct_pair *pair, bool encrypt, u8 *iv,
		      const u8 *in, u8 *out, unsigned int len);

/* ---- layout.c: how a buffer is cut ---------------------------------------- */

struct cct_layout {
	unsigned int lead;		/* bytes from an aligned address */
	bool touching;			/* one behind the other in memory */
	unsigned int n;
	unsigned int len[CCT_SEGMENTS];
};

unsigned int cct_below(struct rnd_state *rnd, unsigned int limit);
void cct_layout_one(struct cct_layout *l, unsigned int len, unsigned int lead);
void cct_layout_cut(struct cct_layout *l, unsigned int len, unsigned int at);
void cct_layout_each(struct cct_layout *l, unsigned int len, unsigned int step);
void cct_layout_extend(struct cct_layout *l, unsigned int more);
void cct_layout_random(struct cct_layout *l, struct rnd_state *rnd,
		       unsigned int len, unsigned int max);

/* ---- side.c: source or destination of a request, with guards -------------- */

struct cct_side {
	u8 *mem;
	size_t size;
	struct scatterlist *sg;
	unsigned int max;		/* elements */
	unsigned int n;			/* of them in use */
	size_t extent;			/* bytes of @mem in use */
};

int cct_side_init(struct cct_side *side, unsigned int len, unsigned int max);
void cct_side_exit(struct cct_side *side);
int cct_side_place(struct cct_side *side, const struct cct_layout *l);
void cct_side_fill(struct cct_side *side, const u8 *data, unsigned int len);
/* Position of the first byte that is not @data's; @len: all are right */
unsigned int cct_side_compare(const struct cct_side *side, const u8 *data,
			      unsigned int len);
bool cct_side_guarded(const struct cct_side *side, unsigned int len);
u8 *cct_side_byte(const struct cct_side *side, unsigned int at);

/* ---- job.c: one request, from its data to the check of its result --------- */

enum cct_context { CCT_PROCESS, CCT_BH_OFF, CCT_SOFTIRQ, CCT_NUM_CONTEXTS };

struct cct_stream;

struct cct_job {
	struct cct_pair *pair;
	struct skcipher_request *req;
	struct cct_side src, dst;
	unsigned int capacity;
	/* What is asked for */
	bool encrypt, in_place;
	unsigned int len;
	u32 flags;
	enum cct_context context;
	unsigned int iv_lead;
	u8 *in, *out;
	u8 first_iv[AES_BLOCK_SIZE], next_iv[AES_BLOCK_SIZE];
	/* What comes of it */
	u8 ivmem[4 * AES_BLOCK_SIZE];
	int returned;			/* when it was submitted */
	int err;			/* in the end */
	atomic_t calls;			/* of the completion, but for... */
	atomic_t notices;		/* ... those with -EINPROGRESS */
	struct completion done;
	struct cct_stream *stream;	/* has many under way, or NULL */
	struct llist_node node;
	int seen;			/* calls, when it was checked */
	bool late_notice;		/* behind the completion */
	bool swallowed;			/* by sabotage */
	bool under_way;			/* of a stream */
	bool lost;
	unsigned int rounds;
	char why[96];
};

struct cct_job *cct_job_new(struct cct_pair *pair, unsigned int capacity,
			    unsigned int segments);
void cct_job_free(struct cct_job *job);
/* Random data, and what should come of it */
int cct_job_data(struct cct_job *job, struct rnd_state *rnd, bool encrypt,
		 unsigned int len);
int cct_job_expect(struct cct_job *job);
/* Lists; @dst NULL: in place */
int cct_job_place(struct cct_job *job, const struct cct_layout *src,
		  const struct cct_layout *dst);
void cct_job_arm(struct cct_job *job);
void cct_job_again(struct cct_job *job);
bool cct_job_submit(struct cct_job *job);
void cct_job_set_lost(struct cct_job *job);
bool cct_job_refused(const struct cct_job *job);
bool cct_job_check(struct cct_job *job);
/* All of it, and the answer is in job->err; false: it did not come back */
bool cct_job_go(struct cct_job *job);
/* ... and check it; what is wrong is reported as one of @what */
bool cct_job_run(struct cct_job *job, const char *what);
void cct_job_report(struct cct_job *job, const char *what);
u8 *cct_job_iv(struct cct_job *job);
/* The driver calls this */
void cct_job_completed(struct cct_job *job, int err);

/* ---- sabotage.c: a driver that is wrong ----------------------------------- */

int cct_sabotage_init(void);
/* The job has come back and is about to be looked at */
void cct_sabotage_result(struct cct_job *job);
/* Whether this completion gets lost */
bool cct_sabotage_loses(struct cct_job *job);
int cct_sabotage_error(int err);

/* ---- stream.c: many requests at a time from one thread -------------------- */

struct cct_stream {
	struct llist_head back;
	struct completion some;
	unsigned int depth;
	struct cct_job **jobs;
	bool check;
	const char *what;
	u64 requests, bytes, notices, refused;
};

struct cct_stream *cct_stream_new(struct cct_pair *const *pairs,
				  unsigned int num_pairs, unsigned int depth,
				  unsigned int len);
void cct_stream_free(struct cct_stream *s);
/* Messages of all lengths up to @len, cut in all ways */
int cct_stream_vary(struct cct_stream *s, struct rnd_state *rnd,
		    unsigned int len);
/* Messages of @len bytes in one piece */
int cct_stream_plain(struct cct_stream *s, struct rnd_state *rnd,
		     unsigned int len, bool encrypt);
/* Until @until, and each job at least once */
bool cct_stream_run(struct cct_stream *s, unsigned long until);

/* ---- the tests ------------------------------------------------------------ */

struct cct_test {
	const char *name;
	void (*run)(struct cct_pair *pair, struct rnd_state *rnd);
	/* Whether it means anything for a mode; NULL: for all */
	bool (*of)(const struct cct_mode *mode);
};

/* each ends with one that has no name */
extern const struct cct_test cct_cases[], cct_shapes[], cct_contexts[];

void cct_load(void);
void cct_bench(void);

struct cct_totals {
	u64 requests, bytes, notices, refused;
};

void cct_several(struct cct_pair *shared, struct rnd_state *rnd,
		 unsigned int threads, unsigned int depth, unsigned int len,
		 unsigned int msecs, struct cct_totals *totals);

#endif
