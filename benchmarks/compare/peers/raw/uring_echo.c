// TCP echo server on bare liburing: the floor that every runtime pays on top of. One thread owns
// everything.
//
// One multishot accept; per connection one multishot receive that fills provided buffers, and at
// most one send in flight, because the kernel does not order two sends of one socket. Received
// buffers that must wait queue up in a list per connection and return to the ring when their send
// has completed. A connection is freed when its receive has ended and its last send is back, so no
// completion can meet a reused slot.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <liburing.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum
{
    // 4 MiB in all: the kernel uses the buffers in turn, so more of them would fall out of the
    // cache. The line beyond 8 KiB keeps the heads of the buffers, all that short messages touch,
    // from sharing a few sets of the cache.
    buffer_count = 512,
    buffer_size = 8192 + 64,
    buffer_group = 0,
    ring_entries = 4096,
    connections_max = 16384,
    no_buffer = -1,
};

enum operation
{
    operation_accept,
    operation_receive,
    operation_send,
};

struct connection
{
    int descriptor;
    int first; // buffer being sent, head of the list of those that wait
    int last;
    int next_starved;
    bool receiving;
    bool broken;
    bool starved;
};

struct server
{
    struct io_uring ring;
    struct io_uring_buf_ring* buffers;
    char* memory;
    int listener;
    int lengths[buffer_count];
    int sent[buffer_count];
    int next[buffer_count];
    int free_buffers;
    int first_starved;
    struct connection connections[connections_max];
};

static volatile sig_atomic_t stop_requested = 0;

static void on_signal(int number)
{
    (void)number;
    stop_requested = 1;
}

static void fail(const char* what, int error)
{
    fprintf(stderr, "uring_echo: %s: %s\n", what, strerror(error));
    exit(1);
}

static uint64_t tag(enum operation operation, int descriptor)
{
    return ((uint64_t)operation << 32) | (uint32_t)descriptor;
}

static struct io_uring_sqe* take_sqe(struct server* s)
{
    struct io_uring_sqe* sqe = io_uring_get_sqe(&s->ring);
    if (sqe == NULL)
    {
        io_uring_submit(&s->ring);
        sqe = io_uring_get_sqe(&s->ring);
        if (sqe == NULL)
        {
            fail("submission queue", ENOSPC);
        }
    }
    return sqe;
}

static void start_accept(struct server* s)
{
    struct io_uring_sqe* sqe = take_sqe(s);
    io_uring_prep_multishot_accept(sqe, s->listener, NULL, NULL, SOCK_CLOEXEC);
    sqe->user_data = tag(operation_accept, s->listener);
}

static void start_receive(struct server* s, struct connection* c)
{
    struct io_uring_sqe* sqe = take_sqe(s);
    io_uring_prep_recv_multishot(sqe, c->descriptor, NULL, 0, 0);
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = buffer_group;
    sqe->user_data = tag(operation_receive, c->descriptor);
    c->receiving = true;
}

static void start_send(struct server* s, struct connection* c)
{
    const int buffer = c->first;
    struct io_uring_sqe* sqe = take_sqe(s);
    const char* from = s->memory + (size_t)buffer * buffer_size + s->sent[buffer];
    io_uring_prep_send(sqe, c->descriptor, from, (size_t)(s->lengths[buffer] - s->sent[buffer]),
                       MSG_WAITALL | MSG_NOSIGNAL);
    sqe->user_data = tag(operation_send, c->descriptor);
}

static void give_back(struct server* s, int buffer)
{
    io_uring_buf_ring_add(s->buffers, s->memory + (size_t)buffer * buffer_size, buffer_size,
                          (unsigned short)buffer, io_uring_buf_ring_mask(buffer_count), 0);
    io_uring_buf_ring_advance(s->buffers, 1);
    ++s->free_buffers;
}

static void close_if_done(struct connection* c)
{
    if (c->broken && !c->receiving && !c->starved && c->first == no_buffer)
    {
        close(c->descriptor);
        c->descriptor = -1;
    }
}

static void on_accept(struct server* s, const struct io_uring_cqe* cqe)
{
    if (cqe->res >= 0)
    {
        if (cqe->res >= connections_max)
        {
            close(cqe->res);
        }
        else
        {
            struct connection* c = &s->connections[cqe->res];
            *c = (struct connection){.descriptor = cqe->res, .first = no_buffer, .last = no_buffer};
            start_receive(s, c);
        }
    }
    if ((cqe->flags & IORING_CQE_F_MORE) == 0)
    {
        start_accept(s);
    }
}

static void on_receive(struct server* s, const struct io_uring_cqe* cqe, struct connection* c)
{
    c->receiving = (cqe->flags & IORING_CQE_F_MORE) != 0;
    if (cqe->res > 0)
    {
        const int buffer = (int)(cqe->flags >> IORING_CQE_BUFFER_SHIFT);
        --s->free_buffers;
        s->lengths[buffer] = cqe->res;
        s->sent[buffer] = 0;
        s->next[buffer] = no_buffer;
        if (c->first == no_buffer)
        {
            c->first = c->last = buffer;
            start_send(s, c);
        }
        else
        {
            s->next[c->last] = buffer;
            c->last = buffer;
        }
    }
    else if (cqe->res == -ENOBUFS)
    {
        // It begins again when a buffer is free; asking at once would only spin.
        c->starved = true;
        c->next_starved = s->first_starved;
        s->first_starved = c->descriptor;
        return;
    }
    else
    {
        c->broken = true;
    }
    if (!c->receiving && !c->broken)
    {
        start_receive(s, c);
    }
    close_if_done(c);
}

static void on_send(struct server* s, const struct io_uring_cqe* cqe, struct connection* c)
{
    const int buffer = c->first;
    if (cqe->res < 0 && !c->broken)
    {
        // The receive is multishot: it ends with the connection, and the rest is dropped below.
        c->broken = true;
        shutdown(c->descriptor, SHUT_RDWR);
    }
    s->sent[buffer] += cqe->res > 0 ? cqe->res : 0;
    if (cqe->res > 0 && s->sent[buffer] < s->lengths[buffer])
    {
        start_send(s, c);
        return;
    }
    c->first = s->next[buffer];
    give_back(s, buffer);
    if (cqe->res < 0)
    {
        while (c->first != no_buffer)
        {
            const int dropped = c->first;
            c->first = s->next[dropped];
            give_back(s, dropped);
        }
    }
    if (c->first != no_buffer)
    {
        start_send(s, c);
    }
    close_if_done(c);
}

static void restart_starved(struct server* s)
{
    while (s->first_starved != -1 && s->free_buffers > buffer_count / 4)
    {
        struct connection* c = &s->connections[s->first_starved];
        s->first_starved = c->next_starved;
        c->starved = false;
        start_receive(s, c);
    }
}

static void dispatch(struct server* s, const struct io_uring_cqe* cqe)
{
    struct connection* c = &s->connections[(uint32_t)cqe->user_data % connections_max];
    switch ((enum operation)(cqe->user_data >> 32))
    {
    case operation_accept: on_accept(s, cqe); break;
    case operation_receive: on_receive(s, cqe, c); break;
    case operation_send: on_send(s, cqe, c); break;
    }
}

static int open_listener(int port)
{
    const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int on = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    // Accepted sockets inherit it.
    setsockopt(listener, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    if (listener < 0 || bind(listener, (struct sockaddr*)&address, size) != 0 ||
        listen(listener, 4096) != 0 ||
        getsockname(listener, (struct sockaddr*)&address, &size) != 0)
    {
        fail("listen", errno);
    }
    printf("listening on 127.0.0.1:%d\n", ntohs(address.sin_port));
    fflush(stdout);
    return listener;
}

static void set_up(struct server* s)
{
    struct io_uring_params params = {
        .flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_CQSIZE,
        .cq_entries = 4 * ring_entries,
    };
    int error = io_uring_queue_init_params(ring_entries, &s->ring, &params);
    if (error != 0)
    {
        fail("io_uring", -error);
    }
    io_uring_register_ring_fd(&s->ring);
    s->buffers = io_uring_setup_buf_ring(&s->ring, buffer_count, buffer_group, 0, &error);
    s->memory = aligned_alloc(4096, (size_t)buffer_count * buffer_size);
    if (s->buffers == NULL || s->memory == NULL)
    {
        fail("buffer ring", s->memory == NULL ? ENOMEM : -error);
    }
    memset(s->memory, 0, (size_t)buffer_count * buffer_size);
    for (int buffer = 0; buffer < buffer_count; ++buffer)
    {
        give_back(s, buffer);
    }
    s->first_starved = -1;
}

static int parse_port(int argc, char** argv)
{
    int port = 0;
    for (int index = 1; index + 1 < argc; index += 2)
    {
        const int value = atoi(argv[index + 1]);
        if (strcmp(argv[index], "--port") == 0)
        {
            port = value;
        }
        else if (strcmp(argv[index], "--threads") != 0 || value != 1)
        {
            fail(argv[index], EINVAL);
        }
    }
    return port;
}

int main(int argc, char** argv)
{
    static struct server s;
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    set_up(&s);
    s.listener = open_listener(parse_port(argc, argv));
    start_accept(&s);
    while (!stop_requested)
    {
        const int error = io_uring_submit_and_wait(&s.ring, 1);
        if (error < 0 && error != -EINTR && error != -EBUSY)
        {
            fail("submit", -error);
        }
        struct io_uring_cqe* cqe;
        unsigned head;
        unsigned seen = 0;
        io_uring_for_each_cqe(&s.ring, head, cqe)
        {
            dispatch(&s, cqe);
            ++seen;
        }
        io_uring_cq_advance(&s.ring, seen);
        restart_starved(&s);
    }
    io_uring_queue_exit(&s.ring);
    close(s.listener);
    return 0;
}
