/*
 * libqos: a vhost-user back end that does nothing
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <sys/socket.h>
#include <sys/un.h>
#include <glib/gstdio.h>
#include "vhost-user-peer.h"

#define GET_FEATURES            1
#define GET_PROTOCOL_FEATURES   15

#define VERSION                 0x1
#define REPLY                   (1u << 2)
#define NEED_REPLY              (1u << 3)
#define F_PROTOCOL_FEATURES     (1ull << 30)
#define F_VERSION_1             (1ull << 32)

struct QVhostUserPeer {
    char *dir;
    char *path;
    int listener;
    GThread *thread;
    void (*hello)(void *opaque);
    void *opaque;
};

/* As it is on the socket, in the host's byte order */
typedef struct Message {
    uint32_t request;
    uint32_t flags;
    uint32_t size;
    uint64_t value;
} QEMU_PACKED Message;

#define HEADER  offsetof(Message, value)

static bool read_all(int fd, void *buf, size_t len)
{
    while (len) {
        ssize_t n = RETRY_ON_EINTR(read(fd, buf, len));

        if (n <= 0) {
            return false;
        }
        buf += n;
        len -= n;
    }
    return true;
}

static void answer(QVhostUserPeer *peer, int fd, Message *msg)
{
    switch (msg->request) {
    case GET_FEATURES:
        if (peer->hello) {
            peer->hello(peer->opaque);
        }
        msg->value = F_PROTOCOL_FEATURES | F_VERSION_1;
        break;
    default:
        if (msg->request != GET_PROTOCOL_FEATURES &&
            !(msg->flags & NEED_REPLY)) {
            return;
        }
        msg->value = 0;
        break;
    }
    msg->flags = VERSION | REPLY;
    msg->size = sizeof(msg->value);
    g_assert_cmpint(write(fd, msg, sizeof(*msg)), ==, sizeof(*msg));
}

static void serve(QVhostUserPeer *peer, int fd)
{
    Message msg;

    while (read_all(fd, &msg, HEADER)) {
        g_autofree uint8_t *payload = g_malloc(msg.size);

        if (!read_all(fd, payload, msg.size)) {
            break;
        }
        answer(peer, fd, &msg);
    }
}

static void *peer_thread(void *opaque)
{
    QVhostUserPeer *peer = opaque;
    int fd;

    while ((fd = RETRY_ON_EINTR(accept(peer->listener, NULL, NULL))) >= 0) {
        serve(peer, fd);
        close(fd);
    }
    return NULL;
}

QVhostUserPeer *qvhost_user_peer_new(void (*hello)(void *opaque), void *opaque)
{
    QVhostUserPeer *peer = g_new0(QVhostUserPeer, 1);
    struct sockaddr_un addr = { .sun_family = AF_UNIX };

    peer->hello = hello;
    peer->opaque = opaque;
    peer->dir = g_dir_make_tmp("vhost-user-peer-XXXXXX", NULL);
    g_assert_nonnull(peer->dir);
    peer->path = g_strdup_printf("%s/socket", peer->dir);
    g_assert_cmpuint(strlen(peer->path), <, sizeof(addr.sun_path));
    strcpy(addr.sun_path, peer->path);
    peer->listener = socket(AF_UNIX, SOCK_STREAM, 0);
    g_assert_cmpint(peer->listener, >=, 0);
    g_assert_cmpint(bind(peer->listener, (struct sockaddr *)&addr,
                         sizeof(addr)), ==, 0);
    g_assert_cmpint(listen(peer->listener, 1), ==, 0);
    peer->thread = g_thread_new("vhost-user-peer", peer_thread, peer);
    return peer;
}

const char *qvhost_user_peer_path(QVhostUserPeer *peer)
{
    return peer->path;
}

void qvhost_user_peer_free(QVhostUserPeer *peer)
{
    /* Ends accept() */
    shutdown(peer->listener, SHUT_RDWR);
    g_thread_join(peer->thread);
    close(peer->listener);
    g_unlink(peer->path);
    g_rmdir(peer->dir);
    g_free(peer->path);
    g_free(peer->dir);
    g_free(peer);
}
