// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A fabric manager in user space: takes what is below a CXL switch from its
 * host and gives it back, by the mailbox of the switch (CXL r3.1 sections
 * 7.6.7.1, 7.6.7.2 and 8.2.8.4).  Linux 7.3 has no driver for the function that
 * the mailbox is in, so its registers are mapped through sysfs.
 *
 *   cxl-fm DEVICE identify             what the switch is
 *   cxl-fm DEVICE ports PORT...        what is connected to physical ports
 *   cxl-fm DEVICE list                 what each vPPB is bound to
 *   cxl-fm DEVICE bind VPPB PORT
 *   cxl-fm DEVICE unbind VPPB [wait|managed|surprise]
 *   cxl-fm DEVICE events [warn]        what has happened, once
 *
 * DEVICE is the function's address, 0000:0d:00.1 say.  The exit status is 0 for
 * success, 2 for what the switch refuses, and 1 for all else.
 */

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* Capabilities of the device's registers, 16 bytes each (section 8.2.8.1) */
#define CAP_COUNT	0x04
#define CAP_ID(n)	(0x10 * (n))
#define CAP_OFFSET(n)	(0x10 * (n) + 4)
#define CAP_MAILBOX	2

/* Of the mailbox (section 8.2.8.4) */
#define MBOX_CAP	0x00
#define MBOX_CTRL	0x04
#define MBOX_CMD	0x08
#define MBOX_STATUS	0x10
#define MBOX_PAYLOAD	0x20
#define PAYLOAD_MAX	512
#define DOORBELL	1u

enum opcode {
	GET_EVENTS	= 0x0100,
	CLEAR_EVENTS	= 0x0101,
	IDENTIFY	= 0x5100,
	PORT_STATE	= 0x5101,
	VCS_INFO	= 0x5200,
	BIND		= 0x5201,
	UNBIND		= 0x5202,
};

#define VCS		0
#define NO_LD		0xff
#define REFUSED		2
#define TIMEOUT_S	10

struct mailbox {
	volatile uint8_t *regs;
	uint8_t data[PAYLOAD_MAX];
	size_t len;
};

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static uint32_t read32(const struct mailbox *m, uint32_t offset)
{
	return le32toh(*(volatile uint32_t *)(m->regs + offset));
}

static void write32(struct mailbox *m, uint32_t offset, uint32_t value)
{
	*(volatile uint32_t *)(m->regs + offset) = htole32(value);
}

static uint64_t read64(const struct mailbox *m, uint32_t offset)
{
	return le64toh(*(volatile uint64_t *)(m->regs + offset));
}

static void write64(struct mailbox *m, uint32_t offset, uint64_t value)
{
	*(volatile uint64_t *)(m->regs + offset) = htole64(value);
}

/* ---- The mailbox ---- */

/* Memory space of the function, which no driver has enabled */
static void enable(const char *device)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/enable", device);
	fd = open(path, O_WRONLY);
	if (fd < 0 || write(fd, "1", 1) != 1)
		die(path);
	close(fd);
}

static void open_mailbox(struct mailbox *m, const char *device)
{
	char path[128];
	struct stat st;
	uint8_t *bar;
	int fd;

	enable(device);
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/resource0",
		 device);
	fd = open(path, O_RDWR | O_SYNC);
	if (fd < 0 || fstat(fd, &st))
		die(path);
	bar = mmap(NULL, st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (bar == MAP_FAILED)
		die(path);
	close(fd);
	m->regs = bar;
	for (uint32_t i = 1; i <= (read32(m, CAP_COUNT) & 0xffff); i++) {
		if ((read32(m, CAP_ID(i)) & 0xffff) == CAP_MAILBOX) {
			m->regs = bar + read32(m, CAP_OFFSET(i));
			return;
		}
	}
	fprintf(stderr, "%s has no mailbox\n", device);
	exit(1);
}

static void wait_doorbell(const struct mailbox *m)
{
	time_t end = time(NULL) + TIMEOUT_S;

	while (read32(m, MBOX_CTRL) & DOORBELL) {
		if (time(NULL) > end) {
			fprintf(stderr, "the mailbox does not answer\n");
			exit(1);
		}
		usleep(1000);
	}
}

/* What comes back is in m->data. Returns the switch's return code */
static unsigned int command(struct mailbox *m, enum opcode opcode,
			    const void *in, size_t len)
{
	uint8_t padded[PAYLOAD_MAX] = { 0 };
	unsigned int code;

	wait_doorbell(m);
	memcpy(padded, in, len);
	for (size_t i = 0; i < len; i += 4) {
		uint32_t word;

		memcpy(&word, padded + i, 4);
		write32(m, MBOX_PAYLOAD + i, le32toh(word));
	}
	write64(m, MBOX_CMD, opcode | (uint64_t)len << 16);
	write32(m, MBOX_CTRL, DOORBELL);
	wait_doorbell(m);
	code = read64(m, MBOX_STATUS) >> 32 & 0xffff;
	m->len = read64(m, MBOX_CMD) >> 16 & 0xfffff;
	if (m->len > PAYLOAD_MAX)
		m->len = PAYLOAD_MAX;
	for (size_t i = 0; i < m->len; i += 4) {
		uint32_t word = htole32(read32(m, MBOX_PAYLOAD + i));

		memcpy(m->data + i, &word, 4);
	}
	return code;
}

/* CXL r3.1 table 8-34 */
static const char *code_name(unsigned int code)
{
	static const char *const names[] = {
		"success", "background command started", "invalid input",
		"unsupported", "internal error", "retry required", "busy",
		[0x16] = "invalid payload length",
	};

	return code < sizeof(names) / sizeof(*names) && names[code] ?
	       names[code] : "?";
}

static void do_command(struct mailbox *m, enum opcode opcode, const void *in,
		       size_t len, size_t least)
{
	unsigned int code = command(m, opcode, in, len);

	if (code) {
		fprintf(stderr, "%04xh: %s (%#x)\n", opcode, code_name(code),
			code);
		exit(REFUSED);
	}
	if (m->len < least) {
		fprintf(stderr, "%04xh: %zu bytes came back\n", opcode, m->len);
		exit(1);
	}
}

/* ---- Commands ---- */

static uint16_t get16(const uint8_t *p)
{
	return p[0] | p[1] << 8;
}

static unsigned int number(const char *word)
{
	char *end;
	unsigned long value = strtoul(word, &end, 0);

	if (!*word || *end || value > 0xff) {
		fprintf(stderr, "no number up to 255: %s\n", word);
		exit(1);
	}
	return value;
}

static void identify(struct mailbox *m, int argc, char **argv)
{
	(void)argc;
	(void)argv;
	do_command(m, IDENTIFY, NULL, 0, 0x49);
	printf("ports %u virtual-switches %u vppbs %u bound %u\n", m->data[2],
	       m->data[3], get16(m->data + 0x44), get16(m->data + 0x46));
}

static void ports(struct mailbox *m, int argc, char **argv)
{
	for (int i = 0; i < argc; i++) {
		uint8_t in[] = { 1, number(argv[i]) };

		do_command(m, PORT_STATE, in, sizeof(in), 4 + 16);
		printf("port %u type %u\n", m->data[4], m->data[4 + 4] & 0xf);
	}
}

static const char *binding(unsigned int status)
{
	static const char *const names[] = {
		"unbound", "in progress", "bound", "bound to a logical device",
	};

	return status < 4 ? names[status] : "?";
}

static void list(struct mailbox *m, int argc, char **argv)
{
	static const uint8_t in[] = { 0, 0xff, 1, VCS };
	const uint8_t *block = m->data + 4;

	(void)argc;
	(void)argv;
	do_command(m, VCS_INFO, in, sizeof(in), 8);
	for (unsigned int i = 0; i < block[3] && 8 + 4 * (i + 1) <= m->len; i++)
		printf("vppb %u %s port %u\n", i, binding(block[4 + 4 * i]),
		       block[4 + 4 * i + 1]);
}

static void bind_vppb(struct mailbox *m, int argc, char **argv)
{
	uint8_t in[] = { VCS, number(argv[0]), number(argv[1]), 0, NO_LD,
			 NO_LD };

	(void)argc;
	do_command(m, BIND, in, sizeof(in), 0);
}

static void unbind_vppb(struct mailbox *m, int argc, char **argv)
{
	static const char *const options[] = { "wait", "managed", "surprise" };
	uint8_t in[] = { VCS, number(argv[0]), 1 };

	if (argc > 1) {
		for (in[2] = 0; strcmp(options[in[2]], argv[1]); in[2]++) {
			if (in[2] == 2) {
				fprintf(stderr, "unbind how: %s\n", argv[1]);
				exit(1);
			}
		}
	}
	do_command(m, UNBIND, in, sizeof(in), 0);
}

/* Records of 128 bytes, behind a header of 32, by the first byte of their UUID */
#define EVENT_HEADER	0x20
#define EVENT_SIZE	0x80
#define EVENT_HANDLE	0x14
#define EVENT_DATA	0x30
#define EVENT_OF_PORT	0x77
#define LINK_LTSSM	0x0f

static void events(struct mailbox *m, int argc, char **argv)
{
	uint8_t log = argc && !strcmp(argv[0], "warn");

	for (;;) {
		const uint8_t *record = m->data + EVENT_HEADER;
		const uint8_t *data = record + EVENT_DATA;
		uint8_t clear[] = { log, 0, 1, 0, 0, 0, 0, 0 };

		do_command(m, GET_EVENTS, &log, 1, EVENT_HEADER);
		if (!get16(m->data + 0x14))
			return;
		if (record[0] == EVENT_OF_PORT)
			printf("port %u link %s\n", data[0],
			       data[LINK_LTSSM] ? "up" : "down");
		else
			printf("vppb %u %s\n", data[1], binding(data[3]));
		memcpy(clear + 6, record + EVENT_HANDLE, 2);
		do_command(m, CLEAR_EVENTS, clear, sizeof(clear), 0);
	}
}

static const struct verb {
	const char *name;
	int least;
	int most;
	void (*run)(struct mailbox *m, int argc, char **argv);
} verbs[] = {
	{ "identify", 0, 0, identify },
	{ "ports", 1, 16, ports },
	{ "list", 0, 0, list },
	{ "bind", 2, 2, bind_vppb },
	{ "unbind", 1, 2, unbind_vppb },
	{ "events", 0, 1, events },
};

int main(int argc, char **argv)
{
	struct mailbox m = { 0 };

	for (size_t i = 0; argc > 2 && i < sizeof(verbs) / sizeof(*verbs); i++) {
		const struct verb *v = &verbs[i];

		if (!strcmp(argv[2], v->name) && argc - 3 >= v->least &&
		    argc - 3 <= v->most) {
			open_mailbox(&m, argv[1]);
			v->run(&m, argc - 3, argv + 3);
			return 0;
		}
	}
	fprintf(stderr, "usage: cxl-fm DEVICE identify | ports PORT... | list | "
		"bind VPPB PORT |\n"
		"       unbind VPPB [wait|managed|surprise] | events [warn]\n");
	return 1;
}
