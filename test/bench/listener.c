/*
 * listener.c
 *	  A client that listens: counts notifications and, from the moment that
 *	  their payloads name, how long each took. "at" is read just before the
 *	  commit, so the figures include the commit's own flush.
 *
 *	  listener CONNINFO CHANNEL; ends on SIGTERM, then prints
 *	  count, median and 99 % in milliseconds.
 */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <libpq-fe.h>

static volatile sig_atomic_t ended = 0;
static float *delays;
static size_t count, size;

static void
end(int signal)
{
	ended = 1;
}

static int
compare(const void *a, const void *b)
{
	float		x = *(const float *) a, y = *(const float *) b;

	return x < y ? -1 : x > y;
}

static int
number(const char *digits, int length)
{
	int			value = 0;

	while (length-- > 0)
		value = value * 10 + *digits++ - '0';
	return value;
}

/*
 * "at":"2026-11-22T11:28:01.423921+00:00", in seconds. The day is worked out
 * once: what this program needs of the processor, those that are measured lack.
 */
static double
moment(const char *at)
{
	static char day[11];
	static time_t midnight;
	double		fraction = 0, digit = 0.1;

	if (strncmp(at, day, 10) != 0)
	{
		struct tm	tm = {.tm_year = number(at, 4) - 1900,.tm_mon = number(at + 5, 2) - 1,
		.tm_mday = number(at + 8, 2)};

		memcpy(day, at, 10);
		midnight = timegm(&tm);
	}
	if (at[19] == '.')
		for (const char *next = at + 20; *next >= '0' && *next <= '9'; next++, digit /= 10)
			fraction += (*next - '0') * digit;
	return midnight + number(at + 11, 2) * 3600 + number(at + 14, 2) * 60 + number(at + 17, 2) + fraction;
}

static void
take(const char *payload, double now)
{
	const char *at = strstr(payload, "\"at\":\"");

	if (count == size)
		delays = realloc(delays, sizeof(float) * (size = size ? size * 2 : 1 << 16));
	delays[count++] = at != NULL ? (now - moment(at + 6)) * 1000 : 0;
}

int
main(int argc, char **argv)
{
	PGconn	   *connection = PQconnectdb(argv[1]);
	char		listen[128];
	struct pollfd fd;
	struct timespec now;
	PGnotify   *notification;

	if (argc != 3 || PQstatus(connection) != CONNECTION_OK)
	{
		fprintf(stderr, "%s", PQerrorMessage(connection));
		return 1;
	}
	signal(SIGTERM, end);
	snprintf(listen, sizeof(listen), "LISTEN %s", argv[2]);
	PQclear(PQexec(connection, listen));
	fd.fd = PQsocket(connection);
	fd.events = POLLIN;
	while (!ended)
	{
		if (poll(&fd, 1, 100) <= 0)
			continue;
		if (!PQconsumeInput(connection))
			return 1;
		clock_gettime(CLOCK_REALTIME, &now);
		while ((notification = PQnotifies(connection)) != NULL)
		{
			take(notification->extra, now.tv_sec + now.tv_nsec / 1e9);
			PQfreemem(notification);
		}
	}
	qsort(delays, count, sizeof(float), compare);
	printf("%zu %.1f %.1f\n", count, count ? delays[count / 2] : 0, count ? delays[count * 99 / 100] : 0);
	return 0;
}
