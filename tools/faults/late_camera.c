/* Preloaded into Aravis' fake camera: its images come late, it has a time-stamp latch and a trigger line.

   LATE_MS, LATE_JITTER_MS   every image's packets are held back by LATE_MS, and by up to the jitter more
   LATE_IGNORE               one software trigger in so many is not answered
   LATE_PULSES               an image whenever the wall clock is at a multiple of so many milliseconds, as if
                             pulses came on its trigger line; its own ticks are 40 ms apart */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>

#define GVCP_PORT 3956
#define LEADER 1
#define LATCH_CONTROL 0x0944
#define LATCHED_VALUE 0x0948
#define NS 1000000000LL

struct packet {
  struct packet *next;
  int socket;
  struct sockaddr_storage to;
  socklen_t to_length;
  int64_t due_ns;
  size_t length;
  unsigned char data[];
};

static struct packet *first, *last;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t more = PTHREAD_COND_INITIALIZER;
static pthread_once_t begin = PTHREAD_ONCE_INIT;
static ssize_t (*real_sendmsg)(int, const struct msghdr *, int);
static ssize_t (*real_sendto)(int, const void *, size_t, int, const struct sockaddr *, socklen_t);
static int64_t latched_ns;

static int64_t now_ns(clockid_t clock) {
  struct timespec now;
  clock_gettime(clock, &now);
  return now.tv_sec * NS + now.tv_nsec;
}

static long setting(const char *name) {
  const char *value = getenv(name);
  return value ? atol(value) : 0;
}

static void *send_when_due(void *unused) {
  (void)unused;
  for (;;) {
    pthread_mutex_lock(&mutex);
    while (!first) pthread_cond_wait(&more, &mutex);
    struct packet *packet = first;
    first = packet->next;
    if (!first) last = NULL;
    pthread_mutex_unlock(&mutex);
    struct timespec due = {packet->due_ns / NS, packet->due_ns % NS};
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, NULL);
    real_sendto(packet->socket, packet->data, packet->length, 0, (struct sockaddr *)&packet->to,
                packet->to_length);
    free(packet);
  }
  return NULL;
}

static void start(void) {
  pthread_t thread;
  real_sendmsg = dlsym(RTLD_NEXT, "sendmsg");
  real_sendto = dlsym(RTLD_NEXT, "sendto");
  pthread_create(&thread, NULL, send_when_due, NULL);
}

static int is_control(int socket) {
  struct sockaddr_in own;
  socklen_t length = sizeof own;
  if (getsockname(socket, (struct sockaddr *)&own, &length)) return 1;
  return own.sin_family != AF_INET || ntohs(own.sin_port) == GVCP_PORT;
}

static ssize_t hold(int socket, const struct iovec *parts, size_t count, const void *to, socklen_t to_length) {
  static int64_t late_ns;
  size_t length = 0, at = 0;
  for (size_t i = 0; i < count; i++) length += parts[i].iov_len;
  struct packet *packet = calloc(1, sizeof *packet + length);
  for (size_t i = 0; i < count; at += parts[i++].iov_len) memcpy(packet->data + at, parts[i].iov_base, parts[i].iov_len);
  memcpy(&packet->to, to, to_length);
  packet->to_length = to_length;
  packet->socket = socket;
  packet->length = length;
  pthread_mutex_lock(&mutex);
  if (length > 4 && (packet->data[4] & 0x0f) == LEADER) {
    long jitter_ms = setting("LATE_JITTER_MS");
    late_ns = (setting("LATE_MS") + (jitter_ms ? rand() % jitter_ms : 0)) * (NS / 1000);
  }
  packet->due_ns = now_ns(CLOCK_MONOTONIC) + late_ns;
  if (last && last->due_ns > packet->due_ns) packet->due_ns = last->due_ns; /* one link: nothing overtakes */
  if (last) last->next = packet; else first = packet;
  last = packet;
  pthread_cond_signal(&more);
  pthread_mutex_unlock(&mutex);
  return length;
}

ssize_t sendto(int socket, const void *data, size_t length, int flags, const struct sockaddr *to, socklen_t to_length) {
  pthread_once(&begin, start);
  if (!to || is_control(socket)) return real_sendto(socket, data, length, flags, to, to_length);
  struct iovec part = {(void *)data, length};
  return hold(socket, &part, 1, to, to_length);
}

ssize_t sendmsg(int socket, const struct msghdr *message, int flags) {
  pthread_once(&begin, start);
  if (!message->msg_name || is_control(socket)) return real_sendmsg(socket, message, flags);
  return hold(socket, message->msg_iov, message->msg_iovlen, message->msg_name, message->msg_namelen);
}

int arv_fake_camera_is_in_free_running_mode(void *camera) {
  int (*real)(void *) = (int (*)(void *))dlsym(RTLD_NEXT, "arv_fake_camera_is_in_free_running_mode");
  static int64_t answered;
  long period_ms = setting("LATE_PULSES");
  if (!period_ms) return real(camera);
  int64_t now_ms = now_ns(CLOCK_REALTIME) / (NS / 1000);
  if (now_ms / period_ms == answered || now_ms % period_ms > period_ms / 2) return 0;
  answered = now_ms / period_ms;
  return 1;
}

int arv_fake_camera_check_and_acknowledge_software_trigger(void *camera) {
  static long asked;
  int (*real)(void *) =
      (int (*)(void *))dlsym(RTLD_NEXT, "arv_fake_camera_check_and_acknowledge_software_trigger");
  long one_in = setting("LATE_IGNORE");
  if (!real(camera)) return 0;
  return !one_in || ++asked % one_in;
}

int arv_fake_camera_write_memory(void *camera, uint32_t address, uint32_t size, const void *data) {
  int (*real)(void *, uint32_t, uint32_t, const void *) =
      (int (*)(void *, uint32_t, uint32_t, const void *))dlsym(RTLD_NEXT, "arv_fake_camera_write_memory");
  if (address == LATCH_CONTROL) latched_ns = now_ns(CLOCK_REALTIME);
  return real(camera, address, size, data);
}

int arv_fake_camera_read_memory(void *camera, uint32_t address, uint32_t size, void *data) {
  int (*real)(void *, uint32_t, uint32_t, void *) =
      (int (*)(void *, uint32_t, uint32_t, void *))dlsym(RTLD_NEXT, "arv_fake_camera_read_memory");
  int done = real(camera, address, size, data);
  if (address == LATCHED_VALUE && size == 8)
    for (int i = 0; i < 8; i++) ((unsigned char *)data)[i] = latched_ns >> (56 - 8 * i);
  return done;
}
