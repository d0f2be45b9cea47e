/*
 * libqos: a vhost-user back end that does nothing
 *
 * Copyright (c) 2026 The qemu-cxl-type1 developers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * It listens on a socket of its own and answers, in a thread, what a front end
 * asks when it is created: no feature but VIRTIO_F_VERSION_1.
 */

#ifndef LIBQOS_VHOST_USER_PEER_H
#define LIBQOS_VHOST_USER_PEER_H

typedef struct QVhostUserPeer QVhostUserPeer;

/**
 * qvhost_user_peer_new: listen
 * @hello: NULL, or what to do when a front end is created, before it gets an
 *         answer; called in the peer's thread
 * @opaque: for @hello
 */
QVhostUserPeer *qvhost_user_peer_new(void (*hello)(void *opaque),
                                     void *opaque);

/**
 * qvhost_user_peer_path: of the socket, for -chardev socket,path=
 * @peer: the back end
 */
const char *qvhost_user_peer_path(QVhostUserPeer *peer);

/**
 * qvhost_user_peer_free: to be called when the emulator has exited
 * @peer: the back end
 */
void qvhost_user_peer_free(QVhostUserPeer *peer);

#endif /* LIBQOS_VHOST_USER_PEER_H */
