/* An engine of bytes: answers as vLLM does, in microseconds, so that what is measured is the gateway in front of it.
 *
 *     upstream PORT ADDRESS...
 *
 * POST: a chat completion of about 560 bytes with `usage`; with "stream":true, server-sent events of about 200 bytes,
 * "max_tokens" of them, one write each, "delay_ms=N" (anywhere in the body: a word of a message reaches every engine)
 * milliseconds apart, then [DONE]. GET: a list of one model. Heads are those of uvicorn, vLLM's server. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define IN_SIZE (1 << 16)
#define OUT_SIZE 2048
#define NAME_SIZE 200
#define DATE "date: Sat, 21 Nov 2026 12:00:00 GMT\r\nserver: uvicorn\r\n"

struct connection {
    int fd;
    char *in; /* the request so far, ended by a zero */
    size_t have;
    char out[OUT_SIZE]; /* what is being written */
    size_t out_size, out_sent;
    char model[NAME_SIZE];
    long events_left; /* of a stream; -1: none runs */
    long delay_ms;
    long long due; /* of the next event, milliseconds */
    struct connection *previous, *next; /* streams that wait for their time */
};

static int poller;
static struct connection waiting = {.previous = &waiting, .next = &waiting};

static long long now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000LL + t.tv_nsec / 1000000;
}

static void stop_waiting(struct connection *c) {
    if (!c->next) return;
    c->previous->next = c->next;
    c->next->previous = c->previous;
    c->next = c->previous = NULL;
}

static void wait_until(struct connection *c, long long due) {
    c->due = due;
    if (c->next) return;
    c->next = &waiting;
    c->previous = waiting.previous;
    c->previous->next = c->next->previous = c;
}

static void end(struct connection *c) {
    stop_waiting(c);
    close(c->fd);
    free(c->in);
    free(c);
}

/* The string value of the first "model" of a body; the engine says in each answer which model gave it. */
static void read_model(const char *body, char *model) {
    const char *at = strstr(body, "\"model\"");
    at = at ? strchr(at + 7, '"') : NULL;
    size_t size = at ? strcspn(++at, "\"") : 0;
    if (size >= NAME_SIZE) size = NAME_SIZE - 1;
    memcpy(model, at ? at : "", size);
    model[size] = 0;
}

static long number_after(const char *body, const char *what, long otherwise) {
    const char *at = strstr(body, what);
    return at ? strtol(at + strlen(what) + strspn(at + strlen(what), "\": "), NULL, 10) : otherwise;
}

static void say(struct connection *c, const char *body, const char *type) {
    c->out_size = (size_t)snprintf(c->out, OUT_SIZE, "HTTP/1.1 200 OK\r\n" DATE "content-length: %zu\r\ncontent-type: %s\r\n\r\n%s",
                                   strlen(body), type, body);
}

static void say_completion(struct connection *c) {
    static char text[200];
    if (!*text) memset(text, 'x', sizeof text - 1);
    char body[OUT_SIZE - 300];
    snprintf(body, sizeof body,
             "{\"id\":\"chatcmpl-1f3a9c2e1f3a9c2e\",\"object\":\"chat.completion\",\"created\":1795262400,\"model\":\"%s\",\"choices\":[{\"index\":0,"
             "\"message\":{\"role\":\"assistant\",\"content\":\"%s\",\"refusal\":null},\"logprobs\":null,\"finish_reason\":\"stop\"}],"
             "\"usage\":{\"prompt_tokens\":250,\"total_tokens\":300,\"completion_tokens\":50,\"prompt_tokens_details\":null},"
             "\"prompt_logprobs\":null}", c->model, text);
    say(c, body, "application/json");
}

/* The next event of a stream, as one chunk; after the last one [DONE] and the end of the body. */
static void say_event(struct connection *c) {
    char data[OUT_SIZE - 100];
    int size = snprintf(data, sizeof data,
        "data: {\"id\":\"chatcmpl-1f3a9c2e1f3a9c2e\",\"object\":\"chat.completion.chunk\",\"created\":1795262400,\"model\":\"%s\","
        "\"choices\":[{\"index\":0,\"delta\":{\"content\":\" word\"},\"logprobs\":null,\"finish_reason\":null}]}\n\n", c->model);
    if (c->events_left-- > 0)
        c->out_size = (size_t)snprintf(c->out, OUT_SIZE, "%x\r\n%s\r\n", size, data);
    else
        c->out_size = (size_t)snprintf(c->out, OUT_SIZE, "e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n");
}

static void say_head_of_stream(struct connection *c) {
    c->out_size = (size_t)snprintf(c->out, OUT_SIZE, "HTTP/1.1 200 OK\r\n" DATE
                                   "content-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n");
}

/* Write what there is and, of a stream, what follows; 0 when the client is gone. */
static int go_on(struct connection *c) {
    for (;;) {
        while (c->out_sent < c->out_size) {
            ssize_t sent = send(c->fd, c->out + c->out_sent, c->out_size - c->out_sent, MSG_NOSIGNAL);
            if (sent < 0) return errno == EAGAIN; /* the poller says when there is room */
            c->out_sent += (size_t)sent;
        }
        if (c->events_left < 0) return 1;
        if (c->delay_ms && now_ms() < c->due) {
            wait_until(c, c->due);
            return 1;
        }
        c->due += c->delay_ms;
        say_event(c);
        c->out_sent = 0;
    }
}

static void answer(struct connection *c, const char *body) {
    c->out_sent = 0;
    c->events_left = -1;
    if (!strncmp(c->in, "GET ", 4)) {
        say(c, "{\"object\":\"list\",\"data\":[{\"id\":\"support-de\",\"object\":\"model\",\"owned_by\":\"vllm\"}]}", "application/json");
        return;
    }
    read_model(body, c->model);
    if (!strstr(body, "\"stream\":true") && !strstr(body, "\"stream\": true")) {
        say_completion(c);
        return;
    }
    long tokens = number_after(body, "max_completion_tokens", -1);
    c->events_left = tokens > 0 ? tokens : number_after(body, "max_tokens", 16);
    c->delay_ms = number_after(body, "delay_ms=", 0);
    c->due = now_ms() + c->delay_ms;
    say_head_of_stream(c);
}

/* Bytes of the request that has come, head and body, or 0 while it is not whole; `body` points to its body. */
static size_t whole_request(struct connection *c, const char **body) {
    const char *end_of_head = strstr(c->in, "\r\n\r\n");
    if (!end_of_head) return 0;
    *body = end_of_head + 4;
    const char *length = strcasestr(c->in, "\r\ncontent-length:");
    size_t size = (size_t)(*body - c->in) + (length && length < *body ? strtoul(length + 17, NULL, 10) : 0);
    return c->have < size ? 0 : size;
}

/* Take what came and answer the request when it is whole; 0 when the client is gone or sends more than fits. */
static int take(struct connection *c) {
    for (;;) {
        if (c->have == IN_SIZE - 1) return 0;
        ssize_t got = recv(c->fd, c->in + c->have, IN_SIZE - 1 - c->have, 0);
        if (got <= 0) return got < 0 && errno == EAGAIN;
        c->have += (size_t)got;
        c->in[c->have] = 0;
        const char *body;
        if (!whole_request(c, &body)) continue;
        answer(c, body);
        c->have = 0; /* nobody pipelines to an engine */
        if (!go_on(c)) return 0;
    }
}

static void accept_all(int listener) {
    int fd, one = 1;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        struct connection *c = calloc(1, sizeof *c);
        c->fd = fd;
        c->in = malloc(IN_SIZE);
        c->events_left = -1;
        struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = c};
        epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event);
    }
}

static int listen_on(const char *address, int port) {
    struct sockaddr_in where = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (inet_pton(AF_INET, address, &where.sin_addr) != 1 || bind(fd, (void *)&where, sizeof where) || listen(fd, 4096)) {
        fprintf(stderr, "cannot listen on %s:%d: %s\n", address, port, strerror(errno));
        exit(1);
    }
    return fd;
}

static int until_next_event(void) {
    long long first = -1;
    for (struct connection *c = waiting.next; c != &waiting; c = c->next)
        if (first < 0 || c->due < first) first = c->due;
    if (first < 0) return -1;
    long long left = first - now_ms();
    return left > 0 ? (int)left : 0;
}

static void send_due_events(void) {
    long long now = now_ms();
    for (struct connection *c = waiting.next, *next; c != &waiting; c = next) {
        next = c->next;
        if (c->due > now) continue;
        stop_waiting(c);
        if (!go_on(c)) end(c);
    }
}

int main(int count, char **words) {
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    poller = epoll_create1(0);
    int listeners[count];
    for (int n = 2; n < count; n++) {
        listeners[n] = listen_on(words[n], atoi(words[1]));
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &listeners[n]};
        epoll_ctl(poller, EPOLL_CTL_ADD, listeners[n], &event);
    }
    struct epoll_event events[256];
    for (;;) {
        int ready = epoll_wait(poller, events, 256, until_next_event());
        for (int n = 0; n < ready; n++) {
            int *listener = events[n].data.ptr;
            if (listener >= listeners && listener < listeners + count) {
                accept_all(*listener);
                continue;
            }
            struct connection *c = events[n].data.ptr;
            int alive = events[n].events & (EPOLLIN | EPOLLHUP | EPOLLERR) ? take(c) : 1;
            if (alive && events[n].events & EPOLLOUT && c->out_sent < c->out_size) alive = go_on(c);
            if (!alive) end(c);
        }
        send_due_events();
    }
}
