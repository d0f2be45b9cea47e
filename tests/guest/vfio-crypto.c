// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Does the crypto device reach what the IOMMU lets it reach, and no more?
 *
 * usage: vfio-crypto PCI-FUNCTION
 *
 * A driver of the device, through VFIO, that also hands it addresses which the
 * IOMMU does not know, does not know any more, or knows for reading only, and
 * physical ones.  Such a request has to end with an error and leave memory as
 * it was.  Output is TAP; "# refused FIRST LAST" says which addresses the IOMMU
 * has to complain of.  The exit status is 0 when every point is ok.
 */
#include <fcntl.h>
#include <linux/virtio_config.h>
#include <linux/virtio_crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "nist.h"
#include "vfio-crypto.h"

enum { DATAQ, CONTROLQ, QUEUES };

#define LEN 64
#define UNTOUCHED 0xee
#define NO_ANSWER (-1)

/*
 * Pages of ours, physically in this order, and the addresses that the device
 * knows them by: with gaps, but for the rest of the used ring.  The first
 * element of that ring crosses from its page into the rest.
 */
enum { RINGS, NEIGHBOUR, USED_REST, CONTROL_RINGS, REQUEST, SOURCE, RESULT,
       OTHER, PAGES };
#define USED_AT (PAGE - 8)
#define HUGE_PAGE (2 << 20)
#define IOVA(page) (0x900000000 + 2 * PAGE * (uint64_t)(page))
/* One page at 16 addresses without a gap, as often */
#define MANY (16 * PAGE)
#define MANY_SOURCES 0xa00000000
#define MANY_RESULTS 0xb00000000
#define NOWHERE 0xc00000000

/* What the device is told of a request; all in one page */
struct request {
    struct virtio_crypto_op_ctrl_req control;
    struct virtio_crypto_session_input session;
    struct virtio_crypto_op_data_req data;
    uint8_t key[16], iv[16];
    uint8_t status;
};

#define AT(field) (IOVA(REQUEST) + offsetof(struct request, field))

/* NIST SP 800-38A F.2.1 */
static const uint8_t nist_key[16] = {
    0x2b, 0x7e, 0x15, 0x16, 0x28, 0xae, 0xd2, 0xa6,
    0xab, 0xf7, 0x15, 0x88, 0x09, 0xcf, 0x4f, 0x3c,
};
static const uint8_t nist_cipher[LEN] = {
    0x76, 0x49, 0xab, 0xac, 0x81, 0x19, 0xb2, 0x46,
    0xce, 0xe9, 0x8e, 0x9b, 0x12, 0xe9, 0x19, 0x7d,
    0x50, 0x86, 0xcb, 0x9b, 0x50, 0x72, 0x19, 0xee,
    0x95, 0xdb, 0x11, 0x3a, 0x91, 0x76, 0x78, 0xb2,
    0x73, 0xbe, 0xd6, 0xb8, 0xe3, 0xc1, 0x74, 0x3b,
    0x71, 0x16, 0xe6, 0x9e, 0x22, 0x22, 0x95, 0x16,
    0x3f, 0xf1, 0xca, 0xa1, 0x68, 0x1f, 0xac, 0x09,
    0x12, 0x0e, 0xca, 0x30, 0x75, 0x86, 0xe1, 0xa7,
};

static uint8_t *memory;
static struct request *request;
static uint64_t session;
static int points, failures;

static uint8_t *page(unsigned n)
{
    return memory + n * PAGE;
}

static void point(bool ok, const char *what)
{
    printf("%sok %d - %s\n", ok ? "" : "not ", ++points, what);
    fflush(stdout);
    failures += !ok;
}

static bool untouched(const uint8_t *p, size_t len)
{
    while (len && *p == UNTOUCHED) {
        p++;
        len--;
    }
    return !len;
}

/* ---- the device ---------------------------------------------------------- */

static bool start(void)
{
    if (!virtio_negotiate(1ull << VIRTIO_F_VERSION_1 |
                          1ull << VIRTIO_F_ACCESS_PLATFORM)) {
        return false;
    }
    memset(page(USED_REST), 0, PAGE);
    virtio_start_queue(DATAQ, page(RINGS), IOVA(RINGS), USED_AT);
    virtio_start_queue(CONTROLQ, page(CONTROL_RINGS), IOVA(CONTROL_RINGS),
                       PAGE / 2);
    virtio_driver_ok();
    return true;
}

static bool open_session(void)
{
    struct piece pieces[] = {
        { AT(control), sizeof(request->control), TO_DEVICE },
        { AT(key), sizeof(request->key), TO_DEVICE },
        { AT(session), sizeof(request->session), FROM_DEVICE },
    };
    struct virtio_crypto_cipher_session_para *para =
        &request->control.u.sym_create_session.u.cipher.para;

    memset(request, 0, sizeof(*request));
    request->control.header.opcode = VIRTIO_CRYPTO_CIPHER_CREATE_SESSION;
    request->control.header.algo = VIRTIO_CRYPTO_CIPHER_AES_CBC;
    request->control.u.sym_create_session.op_type =
        VIRTIO_CRYPTO_SYM_OP_CIPHER;
    para->algo = VIRTIO_CRYPTO_CIPHER_AES_CBC;
    para->keylen = sizeof(request->key);
    para->op = VIRTIO_CRYPTO_OP_ENCRYPT;
    memcpy(request->key, nist_key, sizeof(request->key));
    request->session.status = VIRTIO_CRYPTO_ERR;
    if (!virtio_do(CONTROLQ, pieces, 3)) {
        return false;
    }
    session = request->session.session_id;
    return request->session.status == VIRTIO_CRYPTO_OK;
}

static void fill_request(size_t len)
{
    struct virtio_crypto_sym_data_req *sym = &request->data.u.sym_req;

    memset(&request->data, 0, sizeof(request->data));
    request->data.header.opcode = VIRTIO_CRYPTO_CIPHER_ENCRYPT;
    request->data.header.algo = VIRTIO_CRYPTO_CIPHER_AES_CBC;
    request->data.header.session_id = session;
    sym->op_type = VIRTIO_CRYPTO_SYM_OP_CIPHER;
    sym->u.cipher.para.iv_len = sizeof(request->iv);
    sym->u.cipher.para.src_data_len = len;
    sym->u.cipher.para.dst_data_len = len;
    for (unsigned i = 0; i < sizeof(request->iv); i++) {
        request->iv[i] = i;
    }
}

/* Encrypt; returns what the device writes to @status, or NO_ANSWER */
static int encrypt(uint64_t from, uint64_t to, size_t len, uint64_t status)
{
    struct piece pieces[] = {
        { AT(data), sizeof(request->data), TO_DEVICE },
        { AT(iv), sizeof(request->iv), TO_DEVICE },
        { from, len, TO_DEVICE },
        { to, len, FROM_DEVICE },
        { status, 1, FROM_DEVICE },
    };

    fill_request(len);
    memcpy(page(SOURCE), nist_plain, LEN);
    memcpy(page(SOURCE) + PAGE - LEN, nist_plain, LEN);
    memset(page(RESULT), UNTOUCHED, PAGE);
    memset(page(OTHER), UNTOUCHED, PAGE);
    request->status = UNTOUCHED;
    return virtio_do(DATAQ, pieces, 5) ? request->status : NO_ANSWER;
}

/* ---- what is looked at --------------------------------------------------- */

/* A good request, whose result has to be in page @to and nowhere else */
static bool works(unsigned to)
{
    unsigned other = to == RESULT ? OTHER : RESULT;
    int status = encrypt(IOVA(SOURCE), IOVA(RESULT), LEN, AT(status));

    if (status != VIRTIO_CRYPTO_OK) {
        printf("# status %d\n", status);
        return false;
    }
    return !memcmp(page(to), nist_cipher, LEN) &&
           untouched(page(to) + LEN, PAGE - LEN) &&
           untouched(page(other), PAGE);
}

static void expect_fault(uint64_t where, size_t len)
{
    printf("# refused %#llx %#llx\n", (unsigned long long)where,
           (unsigned long long)(where + len - 1));
}

/* A request that must not be done; @where: the first address that is wrong */
static void refused(const char *what, uint64_t from, uint64_t to, size_t len,
                    uint64_t where)
{
    int status = encrypt(from, to, len, AT(status));
    bool kept = untouched(page(RESULT), PAGE) && untouched(page(OTHER), PAGE);
    bool up = !virtio_needs_reset();

    expect_fault(where, len);
    if (status != VIRTIO_CRYPTO_ERR || !kept || !up) {
        printf("# status %d, memory is %s, the device %s\n", status,
               kept ? "as it was" : "changed", up ? "is up" : "needs a reset");
        point(false, what);
    } else {
        point(true, what);
    }
}

static uint64_t physical(void *p)
{
    int fd = open("/proc/self/pagemap", O_RDONLY);
    uint64_t entry = 0;

    if (fd < 0 || pread(fd, &entry, sizeof(entry), (uintptr_t)p / PAGE *
                        sizeof(entry)) != sizeof(entry)) {
        die("/proc/self/pagemap");
    }
    close(fd);
    return (entry & ((1ull << 55) - 1)) * PAGE;
}

/* Map page @n as often as makes @len bytes */
static void map_many(uint64_t iova, unsigned n, size_t len, bool writable)
{
    for (size_t at = 0; at < len; at += PAGE) {
        dma_map(iova + at, page(n), PAGE, writable);
    }
}

/* ---- the cases ----------------------------------------------------------- */

static void never_mapped(void)
{
    uint64_t edge = PAGE - LEN / 2;

    refused("source not mapped", NOWHERE, IOVA(RESULT), LEN, NOWHERE);
    refused("result not mapped", IOVA(SOURCE), NOWHERE, LEN, NOWHERE);
    refused("half of the source not mapped", IOVA(SOURCE) + edge,
            IOVA(RESULT), LEN, IOVA(SOURCE) + PAGE);
    refused("half of the result not mapped", IOVA(SOURCE),
            IOVA(RESULT) + edge, LEN, IOVA(RESULT) + PAGE);
}

static void many_pages(void)
{
    uint64_t last = MANY_RESULTS + MANY - PAGE;

    map_many(MANY_SOURCES, SOURCE, MANY, false);
    map_many(MANY_RESULTS, RESULT, MANY - PAGE, true);
    refused("15 pages of source not mapped", NOWHERE, MANY_RESULTS,
            MANY - PAGE, NOWHERE);
    refused("16 pages of result not mapped", MANY_SOURCES, NOWHERE, MANY,
            NOWHERE);
    refused("the last of 16 pages of result not mapped", MANY_SOURCES,
            MANY_RESULTS, MANY, last);
    dma_map(last, page(RESULT), PAGE, true);
    point(encrypt(MANY_SOURCES, MANY_RESULTS, MANY, AT(status)) ==
          VIRTIO_CRYPTO_OK && !untouched(page(RESULT), PAGE) &&
          untouched(page(OTHER), PAGE), "all of them mapped");
    dma_unmap(MANY_SOURCES, MANY);
    dma_unmap(MANY_RESULTS, MANY);
}

static void physical_address(void)
{
    uint64_t addr = physical(page(RESULT));

    if (!addr) {
        point(false, "the physical address of a page is known");
        return;
    }
    refused("a physical address", IOVA(SOURCE), addr, LEN, addr);
}

static void read_only(void)
{
    dma_unmap(IOVA(RESULT), PAGE);
    dma_map(IOVA(RESULT), page(RESULT), PAGE, false);
    refused("result in a page for reading", IOVA(SOURCE), IOVA(RESULT), LEN,
            IOVA(RESULT));
    dma_unmap(IOVA(RESULT), PAGE);
    dma_map(IOVA(RESULT), page(RESULT), PAGE, true);
}

static void stale(void)
{
    point(works(RESULT), "a page in use");
    dma_unmap(IOVA(RESULT), PAGE);
    refused("the same page, unmapped", IOVA(SOURCE), IOVA(RESULT), LEN,
            IOVA(RESULT));
    dma_map(IOVA(RESULT), page(OTHER), PAGE, true);
    point(works(OTHER), "another page at its address");
    dma_unmap(IOVA(RESULT), PAGE);
    dma_map(IOVA(RESULT), page(RESULT), PAGE, true);
    point(works(RESULT), "the first page again");
}

/* Nothing says how it went, so it is the same as not done */
static void no_status(void)
{
    expect_fault(NOWHERE, 1);
    point(encrypt(IOVA(SOURCE), IOVA(RESULT), LEN, NOWHERE) == UNTOUCHED &&
          !virtio_needs_reset() && untouched(page(OTHER), PAGE),
          "status not mapped: comes back without one");
    point(works(RESULT), "the next one has its own");
}

static void no_rings(void)
{
    expect_fault(IOVA(RINGS), PAGE);
    dma_unmap(IOVA(RINGS), PAGE);
    point(encrypt(IOVA(SOURCE), IOVA(RESULT), LEN, AT(status)) == NO_ANSWER &&
          untouched(page(RESULT), PAGE) && request->status == UNTOUCHED,
          "rings not mapped: no answer, and nothing done");
    dma_map(IOVA(RINGS), page(RINGS), PAGE, true);
    point(start() && open_session() && works(RESULT),
          "a reset, and it works again");
}

/* The first request after a reset, which has come back */
static void crossing_element(void)
{
    uint32_t len;

    memcpy(&len, page(USED_REST), sizeof(len));
    point(len && untouched(page(NEIGHBOUR), PAGE),
          "an element of the used ring crosses a page");
}

/* Memory whose pages are neighbours, if the kernel has any */
static uint8_t *contiguous(void)
{
    uint8_t *p = mmap(NULL, 2 * HUGE_PAGE, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (p == MAP_FAILED) {
        die("mmap");
    }
    p += -(uintptr_t)p % HUGE_PAGE;
    madvise(p, HUGE_PAGE, MADV_HUGEPAGE);
    memset(p, UNTOUCHED, PAGES * PAGE);
    return p;
}

static void map_all(void)
{
    for (unsigned i = 0; i < PAGES; i++) {
        if (i != NEIGHBOUR && i != USED_REST && i != OTHER) {
            dma_map(IOVA(i), page(i), PAGE, i != SOURCE);
        }
    }
    dma_map(IOVA(RINGS) + PAGE, page(USED_REST), PAGE, true);
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: vfio-crypto PCI-FUNCTION\n");
        return 2;
    }
    memory = contiguous();
    request = (struct request *)page(REQUEST);
    pci_open(argv[1]);
    map_all();
    virtio_open();
    point(!virtio_negotiate(1ull << VIRTIO_F_VERSION_1),
          "a driver that knows no translation is refused");
    point(start() && open_session() && works(RESULT),
          "a known answer, by addresses of the driver's choice");
    crossing_element();
    read_only();
    never_mapped();
    many_pages();
    physical_address();
    stale();
    no_status();
    no_rings();
    point(untouched(page(NEIGHBOUR), PAGE),
          "nothing was written to a page between");
    printf("1..%d\n", points);
    return failures != 0;
}
