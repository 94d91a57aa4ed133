/* A client of bytes: sends prepared requests, reads answers to their end, and says as JSON what came of them.
 *
 *     load ADDRESS PORT REQUESTS CONNECTIONS SECONDS RATE FRESH
 *
 * REQUESTS is a file of requests, each after its size (4 bytes, little endian); they are sent in turn. RATE 0: each
 * connection sends the next request as soon as the last is answered. RATE above 0: that many a second, evenly spaced,
 * whoever still waits; one that finds every connection busy is timed from when it was due. FRESH 1: 16 digits after
 * "x-request-id: " are another number in each request. After SECONDS nothing new is sent; what runs may end.
 * SECONDS 0: each connection sends one request, "ready" is printed, and all stay open until standard input ends. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define HEAD_SIZE 8192
#define GRACE 10.0 /* seconds that what runs at the end may take */
#define MAX_SAMPLES 4000000
#define AT_A_TIME 32

enum part { NO_ANSWER, HEAD, BODY, CHUNK_SIZE, CHUNK, CHUNK_END, LAST_LINE };

struct request { char *bytes; size_t size; char *id; };
struct connection {
    int fd;
    enum part part;
    const struct request *request;
    size_t sent, left, line; /* left: of the body or chunk; line: bytes of the current line */
    char head[HEAD_SIZE + 1];
    size_t head_size;
    int ok, newlines;
    double since;
};

static struct { long sent, ok, refused, broken, unanswered, events, reconnects; } count;
static struct request *requests;
static size_t request_count, request_next;
static struct connection *connections, **idle;
static int connection_count, idle_count, poller, fresh;
static struct sockaddr_in target;
static float *samples;
static size_t sample_count;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void fail(const char *what) {
    fprintf(stderr, "%s: %s\n", what, strerror(errno));
    exit(1);
}

static void read_requests(const char *path) {
    struct stat about;
    int fd = open(path, O_RDONLY);
    if (fd < 0 || fstat(fd, &about)) fail(path);
    char *all = malloc((size_t)about.st_size + 1), *end = all + about.st_size;
    if (read(fd, all, (size_t)about.st_size) != about.st_size) fail(path);
    close(fd);
    *end = 0;
    requests = malloc(sizeof *requests * ((size_t)about.st_size / 20 + 1));
    for (char *at = all; at < end; at += 4 + requests[request_count++].size) {
        unsigned size;
        memcpy(&size, at, 4);
        char *id = memmem(at + 4, size, "x-request-id: ", 14);
        requests[request_count] = (struct request){at + 4, size, id ? id + 14 : NULL};
    }
}

static void connect_it(struct connection *c) {
    int one = 1;
    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (c->fd < 0 || connect(c->fd, (void *)&target, sizeof target)) fail("cannot connect");
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    fcntl(c->fd, F_SETFL, O_NONBLOCK);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    epoll_ctl(poller, EPOLL_CTL_ADD, c->fd, &event);
    c->part = NO_ANSWER;
    c->request = NULL;
}

static void send_more(struct connection *c) {
    ssize_t sent = send(c->fd, c->request->bytes + c->sent, c->request->size - c->sent, MSG_NOSIGNAL);
    if (sent > 0) c->sent += (size_t)sent;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    if (c->sent < c->request->size) event.events |= EPOLLOUT;
    if (sent < (ssize_t)c->request->size) epoll_ctl(poller, EPOLL_CTL_MOD, c->fd, &event);
}

static void start(struct connection *c, double since) {
    static unsigned long long number;
    c->request = &requests[request_next++ % request_count];
    if (fresh && c->request->id) {
        char digits[17];
        snprintf(digits, sizeof digits, "%016llx", ++number);
        memcpy(c->request->id, digits, 16);
    }
    c->part = HEAD;
    c->sent = c->head_size = 0;
    c->newlines = 0;
    c->since = since;
    count.sent++;
    send_more(c);
}

static void answered(struct connection *c) {
    if (c->ok) count.ok++;
    else count.refused++;
    if (sample_count < MAX_SAMPLES) samples[sample_count++] = (float)(now() - c->since);
    c->part = NO_ANSWER;
    idle[idle_count++] = c;
}

static void lost(struct connection *c) {
    int waited = c->part != NO_ANSWER;
    if (c->part == HEAD) count.unanswered++;
    else if (waited) count.broken++;
    count.reconnects++;
    close(c->fd);
    connect_it(c);
    if (waited) idle[idle_count++] = c;
}

/* An event ends with an empty line; as in the body, so across chunks. */
static void count_events(struct connection *c, const char *bytes, size_t size) {
    for (size_t n = 0; n < size; n++) {
        if (bytes[n] == '\n') count.events += ++c->newlines == 2;
        else if (bytes[n] != '\r') c->newlines = 0;
    }
}

static size_t take_head(struct connection *c, const char *bytes, size_t size) {
    size_t before = c->head_size, taken = size < HEAD_SIZE - before ? size : HEAD_SIZE - before;
    memcpy(c->head + before, bytes, taken);
    c->head[c->head_size += taken] = 0;
    char *end = strstr(c->head, "\r\n\r\n");
    if (!end) return taken;
    size_t used = (size_t)(end + 4 - c->head) - before;
    c->ok = c->head[9] == '2';
    end[2] = 0;
    const char *length = strcasestr(c->head, "\r\ncontent-length:");
    c->left = length ? strtoul(length + 17, NULL, 10) : 0;
    c->part = length ? BODY : CHUNK_SIZE;
    c->line = 0;
    if (length && !c->left) answered(c);
    return used;
}

static size_t take_data(struct connection *c, const char *bytes, size_t size) {
    size_t taken = size < c->left ? size : c->left;
    count_events(c, bytes, taken);
    if ((c->left -= taken)) return taken;
    if (c->part == CHUNK) c->part = CHUNK_END;
    else answered(c);
    return taken;
}

/* One byte of the lines around chunks. */
static void take_framing(struct connection *c, char byte) {
    if (byte != '\n') {
        if (byte == '\r' || c->part != CHUNK_SIZE) { c->line += byte != '\r'; return; }
        c->left = (c->line++ ? c->left : 0) * 16 + (size_t)(byte <= '9' ? byte - '0' : (byte | 32) - 'a' + 10);
        return;
    }
    if (c->part == CHUNK_SIZE) c->part = c->left ? CHUNK : LAST_LINE;
    else if (c->part == CHUNK_END) c->part = CHUNK_SIZE;
    else if (!c->line) { answered(c); return; }
    c->line = 0;
}

static void take(struct connection *c) {
    char bytes[65536];
    ssize_t got = recv(c->fd, bytes, sizeof bytes, 0);
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) { lost(c); return; }
    for (size_t at = 0; at < (size_t)got && c->part != NO_ANSWER;) {
        if (c->part == HEAD) at += take_head(c, bytes + at, (size_t)got - at);
        else if (c->part == BODY || c->part == CHUNK) at += take_data(c, bytes + at, (size_t)got - at);
        else take_framing(c, bytes[at++]);
    }
}

static void wait_for_bytes(double seconds) {
    struct epoll_event events[256];
    struct timespec limit = {(time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9)};
    int ready = epoll_pwait2(poller, events, 256, &limit, NULL);
    for (int n = 0; n < ready; n++) {
        struct connection *c = events[n].data.ptr;
        if (events[n].events & EPOLLOUT && c->request && c->sent < c->request->size) send_more(c);
        if (events[n].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) take(c);
    }
}

static void run(double seconds, double rate) {
    double began = now(), ends = began + seconds, due = began;
    while (now() < ends) {
        if (!rate) {
            while (idle_count) start(idle[--idle_count], now());
            wait_for_bytes(0.05);
            continue;
        }
        for (; due <= now() && idle_count; due += 1 / rate) {
            double since = now() - due < 1 / rate ? now() : due; /* what is late because of this client is not the answer's */
            start(idle[--idle_count], since);
        }
        double pause = due - now();
        wait_for_bytes(!idle_count ? 0.05 : pause > 0 ? pause : 0);
    }
    while (idle_count < connection_count && now() < ends + GRACE) wait_for_bytes(0.05);
    count.unanswered += connection_count - idle_count;
}

/* One request on each connection, a few at a time, then nothing. */
static void hold(void) {
    char byte;
    idle_count = 0;
    for (int n = 0; n < connection_count; n++) {
        start(&connections[n], now());
        while (idle_count + AT_A_TIME <= n || (n + 1 == connection_count && idle_count <= n)) wait_for_bytes(1);
    }
    puts("ready");
    fflush(stdout);
    while (read(0, &byte, 1) > 0) {}
}

static int by_size(const void *a, const void *b) {
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

static double percentile(double percent) {
    if (!sample_count) return 0;
    size_t rank = (size_t)((double)sample_count * percent / 100);
    return samples[rank < sample_count ? rank : sample_count - 1];
}

int main(int words, char **word) {
    if (words != 8) { fprintf(stderr, "load ADDRESS PORT REQUESTS CONNECTIONS SECONDS RATE FRESH\n"); return 2; }
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    prctl(PR_SET_TIMERSLACK, 1);
    target = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(word[2]))};
    inet_pton(AF_INET, word[1], &target.sin_addr);
    read_requests(word[3]);
    connection_count = atoi(word[4]);
    fresh = atoi(word[7]);
    connections = calloc((size_t)connection_count, sizeof *connections);
    idle = calloc((size_t)connection_count, sizeof *idle);
    samples = malloc(sizeof *samples * MAX_SAMPLES);
    poller = epoll_create1(0);
    for (int n = 0; n < connection_count; n++) { connect_it(&connections[n]); idle[idle_count++] = &connections[n]; }
    double seconds = atof(word[5]), began = now();
    if (seconds > 0) run(seconds, atof(word[6]));
    else hold();
    double took = now() - began;
    qsort(samples, sample_count, sizeof *samples, by_size);
    printf("{\"sent\":%ld,\"ok\":%ld,\"refused\":%ld,\"broken\":%ld,\"unanswered\":%ld,\"events\":%ld,\"reconnects\":%ld,"
           "\"seconds\":%.6f,\"p50\":%.9f,\"p99\":%.9f,\"longest\":%.9f}\n",
           count.sent, count.ok, count.refused, count.broken, count.unanswered, count.events, count.reconnects, took,
           percentile(50), percentile(99), percentile(100));
    return 0;
}
