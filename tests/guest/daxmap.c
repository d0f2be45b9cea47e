// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Memory that a device node shows to mmap() alone, such as a CXL region's
 * /dev/dax0.0, by loads and stores
 *
 * usage: daxmap write NODE OFFSET        from standard input
 *        daxmap read NODE OFFSET BYTES   to standard output
 *
 * What is mapped is aligned to 2 MiB, as such nodes want it.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define ALIGN	(2ul << 20)

static char *map(const char *node, size_t offset, size_t len)
{
	size_t begin = offset & ~(ALIGN - 1);
	size_t end = (offset + len + ALIGN - 1) & ~(ALIGN - 1);
	int fd = open(node, O_RDWR);
	char *at = fd < 0 ? MAP_FAILED : mmap(NULL, end - begin,
			PROT_READ | PROT_WRITE, MAP_SHARED, fd, begin);

	if (at == MAP_FAILED) {
		perror(node);
		exit(1);
	}
	close(fd);
	return at + (offset - begin);
}

static int do_write(const char *node, size_t offset)
{
	static char buf[ALIGN];
	size_t n;

	while ((n = fread(buf, 1, sizeof(buf), stdin)) > 0) {
		memcpy(map(node, offset, n), buf, n);
		offset += n;
	}
	return ferror(stdin) != 0;
}

int main(int argc, char **argv)
{
	if (argc == 4 && !strcmp(argv[1], "write"))
		return do_write(argv[2], strtoul(argv[3], NULL, 0));
	if (argc == 5 && !strcmp(argv[1], "read")) {
		size_t len = strtoul(argv[4], NULL, 0);

		return fwrite(map(argv[2], strtoul(argv[3], NULL, 0), len), 1,
			      len, stdout) != len || fflush(stdout);
	}
	fprintf(stderr, "usage: daxmap write NODE OFFSET | "
		"daxmap read NODE OFFSET BYTES\n");
	return 1;
}
