// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Pages go from a confidential guest to the normal world, and what comes of
 * it: for the module contrib/linux/cbit, with -device cxl-cbit-alias.
 *
 * usage: cbit-load CASE POLICY FIRST PAGES SEED [FAULT]... [disk]
 *   CASE     how the pages go: see ways[]
 *   POLICY   what is flushed then: see policies[]
 *   FIRST    number of the first page of memory that is cached, by its address
 *   PAGES    how many there are; all of them free, and of node NODE
 *   FAULT    what is done wrong: see faults[]
 *   disk     the pages become page cache of /dev/vda, of which 16 MiB are
 *            overwritten: not CPUs write into them but a device
 *
 * A process has the first half of these pages; its guest runs on CPU 1, and
 * leaves modified lines in that CPU's cache. Of a quarter they are taken away.
 * A bystander, another process' guest, ran on CPU 0 in the second half. Then
 * somebody else gets the pages that are free now, fills them on CPU 0, has some
 * of that leave its cache, as happens, and some time all caches are empty. Are
 * these pages what he has written?
 *
 * One line of JSON on standard output: what was wrong, and where; what was
 * flushed. The same arguments give the same again, after a boot or another.
 */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../contrib/linux/cbit/cxl_cbit_lab.h"

#define PAGE		4096
#define LINE		64
#define WORDS		(PAGE / 8)
#define NODE		1	/* that all of this is about */
#define ELSEWHERE	0	/* where pages may be moved */
#define MOST_PAGES	4096	/* that it has, and how far it reaches */
#define ENOUGH		64	/* so many in a row of others: it has no more */
#define MPOL_PREFERRED	1
#define MPOL_MF_MOVE	2

#define HOST_CPU	0
#define GUEST_CPU	1
#define LINES		16	/* of a page, that guests modify */
#define DISK		"/dev/vda"
#define DISK_PAGES	4096
#define DISK_TAG	0x100000000ull
#define ATTEMPTS	50	/* to get pages that somebody has just freed */
#define AWAIT_US	10000
#define KEPT		4	/* one of so many lines stays in the host's cache */

static void fail(const char *what)
{
	fprintf(stderr, "cbit-load: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void check(bool good, const char *what)
{
	if (!good)
		fail(what);
}

static void run_on(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	check(!sched_setaffinity(0, sizeof(set), &set), "sched_setaffinity");
}

/* ---- Pages of memory by their number ---- */

static uint64_t page_number(const void *addr)
{
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	uint64_t entry;

	check(pread(fd, &entry, 8, (uintptr_t)addr / PAGE * 8) == 8, "pagemap");
	close(fd);
	return entry >> 63 ? entry & ((1ull << 55) - 1) : 0;
}

static char *reserve(size_t pages, int prot)
{
	char *mem = mmap(NULL, pages * PAGE, prot, MAP_PRIVATE | MAP_ANONYMOUS |
			 MAP_NORESERVE, -1, 0);

	check(mem != MAP_FAILED, "mmap");
	check(!madvise(mem, pages * PAGE, MADV_NOHUGEPAGE) || errno == EINVAL,
	      "MADV_NOHUGEPAGE");
	return mem;
}

/*
 * Get pages of memory by their numbers, those that are free: take what the node
 * gives until there is none left to want, and give the others back.
 * Returns: addresses in the order of their numbers; @got: which there are
 */
static char *grab(uint64_t first, unsigned int pages, bool *got)
{
	char *all = reserve(MOST_PAGES, PROT_READ | PROT_WRITE);
	char *mem = reserve(pages, PROT_NONE);
	unsigned long nodes = 1ul << NODE;
	unsigned int missing = pages, strangers = 0, i;

	memset(got, 0, pages * sizeof(*got));
	check(!syscall(SYS_mbind, all, (long)MOST_PAGES * PAGE, MPOL_PREFERRED,
		       &nodes, 8 * sizeof(nodes), 0), "mbind");
	for (i = 0; i < MOST_PAGES && missing && strangers < ENOUGH; i++) {
		char *page = all + (size_t)i * PAGE;
		uint64_t n;

		*(volatile char *)page = 0;
		n = page_number(page) - first;
		strangers = n + MOST_PAGES < 2 * MOST_PAGES ? 0 : strangers + 1;
		if (n >= pages)
			continue;
		check(mremap(page, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
			     mem + n * PAGE) != MAP_FAILED, "mremap");
		got[n] = true;
		missing--;
	}
	munmap(all, (size_t)MOST_PAGES * PAGE);
	return mem;
}

/* ---- The guest, as the module has it ---- */

static int open_guest(void)
{
	int fd = open("/dev/cxl_cbit_lab", O_RDWR);

	check(fd >= 0, "/dev/cxl_cbit_lab");
	return fd;
}

static void set_up(int fd, const char *mem, unsigned int pages,
		   unsigned int policy, unsigned int faults)
{
	struct cbit_lab_setup setup = {
		.addr = (uintptr_t)mem,
		.pages = pages,
		.policy = policy,
		.faults = faults,
	};

	check(!ioctl(fd, CBIT_LAB_SETUP, &setup), "CBIT_LAB_SETUP");
}

/* Returns: words that were not what they should be */
static uint64_t run_guest(int fd, int cpu, unsigned int first,
			  unsigned int pages, uint64_t seed, bool compare)
{
	struct cbit_lab_run run = {
		.first = first,
		.pages = pages,
		.lines = LINES,
		.check = compare,
		.seed = seed,
	};

	run_on(cpu);
	check(!ioctl(fd, CBIT_LAB_RUN, &run), "CBIT_LAB_RUN");
	run_on(HOST_CPU);
	return run.wrong;
}

static struct cbit_lab_stats stats_of(int fd)
{
	struct cbit_lab_stats stats;

	check(!ioctl(fd, CBIT_LAB_STATS, &stats), "CBIT_LAB_STATS");
	return stats;
}

static unsigned int count_masks(void)
{
	int fd = open_guest();
	unsigned int n = stats_of(fd).masks;

	close(fd);
	return n;
}

/* ---- The host's lines ---- */

static void flush_line(const void *addr)
{
	asm volatile("clflush %0" : : "m"(*(const char *)addr) : "memory");
}

/* What KVM does when a guest gets memory: the host has no lines of it. */
static void flush_pages(const char *mem, unsigned int pages)
{
	for (size_t i = 0; i < (size_t)pages * PAGE; i += LINE)
		flush_line(mem + i);
}

static uint64_t word_of(uint64_t seed, uint64_t page, unsigned int n)
{
	return cbit_lab_mix(seed ^ 0x5eed, page * WORDS + n);
}

/* ---- How pages go ---- */

/**
 * struct owner - the process that has the guest
 * @guest: files: the guest; where it moves to
 * @mem: its pages, the first of which is number @first
 * @gone: so many of these, from the first on, are taken away
 * @disk: they become page cache
 */
struct owner {
	int guest[2];
	char *mem;
	uint64_t first;
	unsigned int pages;
	unsigned int gone;
	unsigned int policy;
	unsigned int faults;
	bool disk;
	uint64_t seed;
};

static void go_by_unmap(const struct owner *o)
{
	check(!munmap(o->mem, (size_t)o->gone * PAGE), "munmap");
}

static void go_by_dontneed(const struct owner *o)
{
	check(!madvise(o->mem, (size_t)o->gone * PAGE, MADV_DONTNEED),
	      "MADV_DONTNEED");
}

static void go_by_exit(const struct owner *o)
{
	(void)o;
	_exit(0);
}

static void go_by_driver(const struct owner *o)
{
	struct cbit_lab_migrate m = {
		.pages = o->gone,
		.node = ELSEWHERE,
	};

	check(!ioctl(o->guest[0], CBIT_LAB_MIGRATE_PAGES, &m),
	      "CBIT_LAB_MIGRATE_PAGES");
	if (m.moved != o->gone) {
		fprintf(stderr, "%u of %u pages moved\n", m.moved, o->gone);
		exit(1);
	}
}

static void go_by_move_pages(const struct owner *o)
{
	void *page[o->gone];
	int node[o->gone], status[o->gone];

	for (unsigned int i = 0; i < o->gone; i++) {
		page[i] = o->mem + (size_t)i * PAGE;
		node[i] = ELSEWHERE;
	}
	check(!syscall(SYS_move_pages, 0, (long)o->gone, page, node, status,
		       MPOL_MF_MOVE), "move_pages");
}

static void stay_protected(const struct owner *o)
{
	check(!mprotect(o->mem, (size_t)o->gone * PAGE, PROT_READ), "mprotect");
}

/* To be asked for their age, by one way or another */
static void stay_idle(const struct owner *o)
{
	int fd = open("/sys/kernel/mm/page_idle/bitmap", O_WRONLY);

	if (fd < 0) {
		check(!madvise(o->mem, (size_t)o->gone * PAGE, MADV_PAGEOUT),
		      "MADV_PAGEOUT");
		return;
	}
	for (uint64_t n = o->first / 64; n <= (o->first + o->gone - 1) / 64;
	     n++) {
		uint64_t bits = 0;

		for (int i = 0; i < 64; i++)
			if (n * 64 + i - o->first < o->gone)
				bits |= 1ull << i;
		check(pwrite(fd, &bits, 8, n * 8) == 8, "page_idle");
	}
	close(fd);
}

/*
 * The guest moves to another file of the same process, and runs there, on
 * another CPU, with a page that stays.
 */
static void move(const struct owner *o)
{
	check(!ioctl(o->guest[1], CBIT_LAB_MOVE, o->guest[0]), "CBIT_LAB_MOVE");
	run_guest(o->guest[1], HOST_CPU, o->pages - 1, 1, o->seed, false);
	go_by_unmap(o);
}

/**
 * ways: how pages go
 * @go: how
 * @leaves: they are free afterwards; else the guest has them still
 * @moves: there is a second guest, which has the context in the end
 */
static const struct way {
	const char *name;
	void (*go)(const struct owner *o);
	bool leaves;
	bool moves;
} ways[] = {
	{ "unmap", go_by_unmap, true, false },
	{ "dontneed", go_by_dontneed, true, false },
	{ "exit", go_by_exit, true, false },
	{ "migrate", go_by_driver, true, false },
	{ "move-pages", go_by_move_pages, true, false },
	{ "protect", stay_protected, false, false },
	{ "idle", stay_idle, false, false },
	{ "moved", move, true, true },
};

/* ---- The process that has the guest ---- */

static void tell(int fd, uint64_t value)
{
	check(write(fd, &value, 8) == 8, "write");
}

/* Returns: false if there is nobody any more */
static bool hear(int fd, uint64_t *value)
{
	return read(fd, value, 8) == 8;
}

/*
 * Pages that were freed may still be on their way: in a batch of a CPU's for the
 * LRU lists, which is what this empties, or among those that the other CPU gives
 * out itself.
 */
static void await_free(void *mem, size_t size, unsigned int attempt)
{
	unsigned long nodes = 1ul << NODE;

	run_on(attempt % 2 ? HOST_CPU : GUEST_CPU);
	munmap(mem, size);
	syscall(SYS_migrate_pages, 0, 8 * sizeof(nodes), &nodes, &nodes);
	usleep(AWAIT_US);
}

static void grab_all(char **mem, uint64_t first, unsigned int pages)
{
	bool got[pages];

	for (unsigned int attempt = 0;; attempt++) {
		unsigned int n = 0;

		*mem = grab(first, pages, got);
		for (unsigned int i = 0; i < pages; i++)
			n += got[i];
		if (n == pages)
			break;
		if (attempt == ATTEMPTS) {
			fprintf(stderr, "cbit-load: only %u of %u pages are free\n",
				n, pages);
			exit(1);
		}
		await_free(*mem, (size_t)pages * PAGE, attempt);
	}
	run_on(HOST_CPU);
}

/* Words of the guest's that are wrong, of pages that it still has there */
static uint64_t check_rest(struct owner *o, const struct way *way)
{
	unsigned int first = way->leaves ? o->gone : 0;

	if (way->go == stay_protected)
		check(!mprotect(o->mem, (size_t)o->gone * PAGE,
				PROT_READ | PROT_WRITE), "mprotect");
	return run_guest(o->guest[way->moves], GUEST_CPU, first,
			 o->pages - first, o->seed, true);
}

static void own(struct owner *o, const struct way *way, int from, int to)
{
	uint64_t word;

	grab_all(&o->mem, o->first, o->pages);
	flush_pages(o->mem, o->pages);
	set_up(o->guest[0], o->mem, o->pages, o->policy, o->faults);
	if (way->moves)
		set_up(o->guest[1], o->mem, o->pages, o->policy, o->faults);
	run_guest(o->guest[0], GUEST_CPU, 0, o->pages, o->seed, false);
	tell(to, run_guest(o->guest[0], GUEST_CPU, 0, o->pages, o->seed, true));
	hear(from, &word);
	way->go(o);
	tell(to, 0);
	hear(from, &word);
	tell(to, check_rest(o, way));
	_exit(0);
}

/* ---- The host ---- */

/**
 * struct host_page - a page that was the guest's, and is the host's
 * @mem: where; NULL: somebody else has it
 * @tag: what it holds follows from that
 */
struct host_page {
	char *mem;
	uint64_t tag;
};

/* It fills them with its own; some lines stay cached. */
static void use_pages(struct host_page *page, uint64_t first,
		      unsigned int pages, uint64_t seed)
{
	bool got[pages];
	char *mem = grab(first, pages, got);

	for (unsigned int i = 0; i < pages; i++) {
		uint64_t *words = (uint64_t *)(mem + (size_t)i * PAGE);

		page[i].mem = got[i] ? (char *)words : NULL;
		page[i].tag = first + i;
		for (unsigned int n = 0; got[i] && n < WORDS; n++)
			words[n] = word_of(seed, page[i].tag, n);
	}
	for (unsigned int i = 0; i < pages * (PAGE / LINE); i++)
		if (got[i / (PAGE / LINE)] &&
		    cbit_lab_mix(seed, first * (PAGE / LINE) + i) % KEPT)
			flush_line(mem + (size_t)i * LINE);
}

/* What is on the disk, each page something else */
static void fill_disk(uint64_t seed)
{
	int fd = open(DISK, O_WRONLY | O_DIRECT);
	uint64_t *words = aligned_alloc(PAGE, PAGE);

	check(fd >= 0, DISK);
	for (unsigned int i = 0; i < DISK_PAGES; i++) {
		for (unsigned int n = 0; n < WORDS; n++)
			words[n] = word_of(seed, DISK_TAG + i, n);
		check(pwrite(fd, words, PAGE, (off_t)i * PAGE) == PAGE, DISK);
	}
	free(words);
	close(fd);
}

static void prefer_node(bool preferred)
{
	unsigned long nodes = 1ul << NODE;

	check(!syscall(SYS_set_mempolicy, preferred ? MPOL_PREFERRED : 0,
		       preferred ? &nodes : NULL, 8 * sizeof(nodes)),
	      "set_mempolicy");
}

/* The disk, as it is mapped: with all the page tables that it takes */
static char *map_disk(void)
{
	static char *map;
	int fd;

	if (map)
		return map;
	fd = open(DISK, O_RDONLY);
	check(fd >= 0, DISK);
	map = mmap(NULL, (size_t)DISK_PAGES * PAGE, PROT_READ, MAP_SHARED, fd,
		   0);
	check(map != MAP_FAILED, "mmap");
	for (unsigned int i = 0; i < DISK_PAGES; i += PAGE / 8)
		(void)*(volatile char *)(map + (size_t)i * PAGE);
	close(fd);
	return map;
}

static void forget_disk(void)
{
	int fd = open(DISK, O_RDONLY);

	check(!madvise(map_disk(), (size_t)DISK_PAGES * PAGE, MADV_DONTNEED),
	      "MADV_DONTNEED");
	check(fd >= 0 && !posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), DISK);
	close(fd);
}

/* They become the page cache of a disk, whose data a device writes. */
static void read_disk(struct host_page *page, uint64_t first,
		      unsigned int pages, unsigned int from)
{
	unsigned int missing = pages, strangers = 0, end = from + DISK_PAGES / 2;
	char *map = map_disk();

	forget_disk();
	prefer_node(true);
	for (unsigned int i = from; i < end && missing; i++) {
		uint64_t n;

		(void)*(volatile char *)(map + (size_t)i * PAGE);
		n = page_number(map + (size_t)i * PAGE) - first;
		strangers = n + MOST_PAGES < 2 * MOST_PAGES ? 0 : strangers + 1;
		if (strangers == ENOUGH)
			break;
		if (n >= pages)
			continue;
		page[n].mem = map + (size_t)i * PAGE;
		page[n].tag = DISK_TAG + i;
		missing--;
	}
	prefer_node(false);
}

/* Prints where; returns how many bytes are wrong */
static uint64_t report_wrong(const struct host_page *page, uint64_t first,
			     unsigned int pages, uint64_t seed)
{
	const char *comma = "";
	uint64_t wrong = 0;

	printf("\"wrong_lines\": [");
	for (unsigned int i = 0; i < pages * (PAGE / LINE); i++) {
		const struct host_page *p = &page[i / (PAGE / LINE)];
		unsigned int at = i % (PAGE / LINE) * LINE, bad = 0;

		for (unsigned int n = at; p->mem && n < at + LINE; n++) {
			uint64_t word = word_of(seed, p->tag, n / 8);

			bad += (unsigned char)p->mem[n] !=
			       (unsigned char)(word >> n % 8 * 8);
		}
		if (bad) {
			printf("%s%llu", comma, (unsigned long long)
			       (first * PAGE + (uint64_t)i * LINE));
			comma = ", ";
		}
		wrong += bad;
	}
	printf("], ");
	return wrong;
}

static void report_stats(const struct cbit_lab_stats *s)
{
	static const char *const reasons[] = {
		"UNMAP", "CLEAR", "RELEASE", "MIGRATE", "PROTECTION", "AGE",
		"OTHER",
	};

	printf("\"events\": {");
	for (int i = 0; i < CBIT_LAB_NUM_REASONS; i++)
		printf("%s\"%s\": %llu", i ? ", " : "", reasons[i],
		       (unsigned long long)s->events[i]);
	printf("}, \"answered\": %llu, \"cpus\": %llu, \"pages\": %llu, "
	       "\"scanned\": %llu, \"flushed\": %llu, \"needed\": %llu, "
	       "\"wasted\": %llu, ", (unsigned long long)s->answered,
	       (unsigned long long)s->cpus, (unsigned long long)s->pages,
	       (unsigned long long)s->scanned, (unsigned long long)s->flushed,
	       (unsigned long long)s->needed, (unsigned long long)s->wasted);
}

/* ---- */

static const char *const policies[] = {
	"none", "all-cpus", "have-run", "reasons", "range", "adaptive",
};

static const struct {
	const char *name;
	unsigned int fault;
} faults[] = {
	{ "broken-flush", CBIT_LAB_BROKEN_FLUSH },
	{ "move-no-flush", CBIT_LAB_MOVE_NO_FLUSH },
	{ "move-keep-mask", CBIT_LAB_MOVE_KEEP_MASK },
};

static const struct way *find_way(const char *name)
{
	for (unsigned int i = 0; i < sizeof(ways) / sizeof(ways[0]); i++)
		if (!strcmp(ways[i].name, name))
			return &ways[i];
	errno = EINVAL;
	fail(name);
	return NULL;
}

static unsigned int find_policy(const char *name)
{
	for (unsigned int i = 0; i < CBIT_LAB_NUM_POLICIES; i++)
		if (!strcmp(policies[i], name))
			return i;
	errno = EINVAL;
	fail(name);
	return 0;
}

static unsigned int find_fault(const char *name)
{
	for (unsigned int i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
		if (!strcmp(faults[i].name, name))
			return faults[i].fault;
	errno = EINVAL;
	fail(name);
	return 0;
}

static void experiment(struct owner *o, const struct way *way)
{
	unsigned int pages = o->pages, masks = count_masks();
	uint64_t first = o->first, early, late = 0, other, wrong, word;
	struct cbit_lab_stats stats;
	int down[2], up[2], bystander = open_guest();
	struct host_page page[o->gone];
	char *own_mem;
	pid_t pid;

	run_on(HOST_CPU);
	memset(page, 0, sizeof(page));
	if (o->disk)
		fill_disk(o->seed);
	check(!ioctl(bystander, CBIT_LAB_DRAIN), "CBIT_LAB_DRAIN");
	o->guest[0] = open_guest();
	o->guest[1] = way->moves ? open_guest() : -1;
	check(!pipe2(down, O_CLOEXEC) && !pipe2(up, O_CLOEXEC), "pipe");
	pid = fork();
	check(pid >= 0, "fork");
	if (!pid) {
		close(down[1]);
		close(up[0]);
		own(o, way, down[0], up[1]);
	}
	close(down[0]);
	close(up[1]);
	if (!hear(up[0], &early))
		exit(1);

	grab_all(&own_mem, first + pages, pages);
	flush_pages(own_mem, pages);
	set_up(bystander, own_mem, pages, CBIT_LAB_NONE, 0);
	run_guest(bystander, HOST_CPU, 0, pages, ~o->seed, false);

	/* What the kernel needs for a page cache is not to be of these pages. */
	if (o->disk) {
		read_disk(page, first, o->gone, 0);
		forget_disk();
	}

	tell(down[1], 0);
	if (!hear(up[0], &word) && way->go != go_by_exit)
		exit(1);
	if (way->go == go_by_exit)
		check(waitpid(pid, NULL, 0) == pid, "waitpid");
	stats = stats_of(o->guest[way->moves]);
	if (o->disk)
		read_disk(page, first, o->gone, DISK_PAGES / 2);
	else
		use_pages(page, first, o->gone, o->seed);
	check(!ioctl(bystander, CBIT_LAB_DRAIN), "CBIT_LAB_DRAIN");

	printf("{");
	wrong = report_wrong(page, first, o->gone, o->seed);
	if (way->go != go_by_exit) {
		tell(down[1], 0);
		if (!hear(up[0], &late))
			exit(1);
		check(waitpid(pid, NULL, 0) == pid, "waitpid");
	}
	other = run_guest(bystander, HOST_CPU, 0, pages, ~o->seed, true);
	close(o->guest[0]);
	if (way->moves)
		close(o->guest[1]);
	close(bystander);
	if (o->disk)
		forget_disk();
	word = 0;
	for (unsigned int i = 0; i < o->gone; i++)
		word += !!page[i].mem;
	report_stats(&stats);
	printf("\"wrong_bytes\": %llu, \"gone\": %u, \"got\": %llu, "
	       "\"guest_early\": %llu, \"guest_late\": %llu, "
	       "\"bystander\": %llu, \"leaked\": %d}\n",
	       (unsigned long long)wrong, o->gone, (unsigned long long)word,
	       (unsigned long long)early, (unsigned long long)late,
	       (unsigned long long)other, (int)(count_masks() - masks));
}

int main(int argc, char **argv)
{
	struct owner o = { };
	const struct way *way;

	if (argc < 6) {
		fprintf(stderr, "usage: cbit-load CASE POLICY FIRST PAGES SEED "
			"[FAULT]... [disk]\n");
		return 2;
	}
	way = find_way(argv[1]);
	o.policy = find_policy(argv[2]);
	o.first = strtoull(argv[3], NULL, 0);
	o.pages = strtoul(argv[4], NULL, 0) / 2;
	o.gone = o.pages / 2;
	o.seed = strtoull(argv[5], NULL, 0);
	for (int i = 6; i < argc; i++) {
		if (!strcmp(argv[i], "disk"))
			o.disk = true;
		else
			o.faults |= find_fault(argv[i]);
	}
	if (!o.gone || o.pages > 1024) {
		errno = EINVAL;
		fail("PAGES");
	}
	experiment(&o, way);
	return 0;
}
