// SPDX-License-Identifier: GPL-2.0
/* Measures requests to a family of generic netlink. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include <linux/genetlink.h>
#include <linux/netlink.h>

#include "counter.h"
#include "measure.h"

#define NUMBER 5
/* The offset of the first attribute in a message. */
#define START ((ssize_t)NLMSG_LENGTH(GENL_HDRLEN))

/* A request or a reply. It has room for all attributes that this file uses. */
struct message {
	struct nlmsghdr header;
	struct genlmsghdr head;
	uint8_t attributes[64];
};

/* Each answer of a round has its own buffer. */
struct client {
	int fd;
	struct message request;
	struct message *answers;
	ssize_t *lengths; /* results of recv() */
};

static int open_socket(void)
{
	const struct sockaddr_nl any = { .nl_family = AF_NETLINK };
	int fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_GENERIC);

	if (fd < 0 || bind(fd, (const struct sockaddr *)&any, sizeof(any)) ||
	    connect(fd, (const struct sockaddr *)&any, sizeof(any)))
		die("a socket of generic netlink");
	return fd;
}

static void begin(struct message *message, uint16_t type, uint8_t command, uint16_t flags)
{
	*message = (struct message) {
		.header = { .nlmsg_len = NLMSG_LENGTH(GENL_HDRLEN), .nlmsg_type = type,
			    .nlmsg_flags = NLM_F_REQUEST | flags },
		.head = { .cmd = command, .version = 1 },
	};
}

static void put(struct message *message, uint16_t type, const void *value, size_t size)
{
	struct nlattr *attribute = (void *)((uint8_t *)message + message->header.nlmsg_len);

	*attribute = (struct nlattr) { .nla_len = (uint16_t)(NLA_HDRLEN + size), .nla_type = type };
	memcpy((uint8_t *)attribute + NLA_HDRLEN, value, size);
	message->header.nlmsg_len += (uint32_t)(NLA_HDRLEN + NLA_ALIGN(size));
}

/* The value of the attribute with this type and size. NULL if there is no such attribute. */
static const void *find(const uint8_t *bytes, ssize_t len, uint16_t type, size_t size)
{
	while (len >= NLA_HDRLEN) {
		const struct nlattr *attribute = (const void *)bytes;

		if (attribute->nla_len < NLA_HDRLEN || attribute->nla_len > len)
			break;
		if (attribute->nla_type == type && attribute->nla_len == NLA_HDRLEN + size)
			return bytes + NLA_HDRLEN;
		bytes += NLA_ALIGN(attribute->nla_len);
		len -= NLA_ALIGN(attribute->nla_len);
	}
	return NULL;
}

/* The message type that the kernel gave to the family of counters. */
static uint16_t family(int fd)
{
	struct {
		struct message message;
		uint8_t more[4096];
	} answer;
	const uint16_t *type = NULL;
	struct message request;
	ssize_t len;

	begin(&request, GENL_ID_CTRL, CTRL_CMD_GETFAMILY, 0);
	put(&request, CTRL_ATTR_FAMILY_NAME, COUNTER_FAMILY_NAME, sizeof(COUNTER_FAMILY_NAME));
	if (send(fd, &request, request.header.nlmsg_len, 0) < 0)
		die("send");
	len = recv(fd, &answer, sizeof(answer), 0);
	if (len > START && answer.message.header.nlmsg_type == GENL_ID_CTRL)
		type = find(answer.message.attributes, len - START,
			    CTRL_ATTR_FAMILY_ID, sizeof(*type));
	if (!type)
		die("there is no family " COUNTER_FAMILY_NAME);
	return *type;
}

static void prepare(void *context, unsigned int n)
{
	struct client *client = context;

	memset(client->answers, 0, n * sizeof(*client->answers));
}

static void once(void *context, unsigned int n)
{
	struct client *client = context;

	client->request.header.nlmsg_seq = n;
	if (send(client->fd, &client->request, client->request.header.nlmsg_len, 0) < 0)
		die("send");
	client->lengths[n] = recv(client->fd, &client->answers[n], sizeof(*client->answers), MSG_DONTWAIT);
}

static bool is_right(const struct client *client, unsigned int n)
{
	const struct message *answer = &client->answers[n];
	const uint32_t *number;

	if (client->lengths[n] < START || answer->header.nlmsg_seq != n)
		return false;
	/*
	 * The answer to any request except COUNTER_CMD_GET is an acknowledgement, which has its
	 * errno at the offset where a reply has the generic netlink header (head).
	 */
	if (client->request.head.cmd != COUNTER_CMD_GET)
		return answer->header.nlmsg_type == NLMSG_ERROR && !*(const int *)&answer->head;
	number = find(answer->attributes, client->lengths[n] - START,
		      COUNTER_A_NUMBER, sizeof(*number));
	return answer->header.nlmsg_type == client->request.header.nlmsg_type &&
	       answer->head.cmd == COUNTER_CMD_GET && number && *number == NUMBER &&
	       find(answer->attributes, client->lengths[n] - START, COUNTER_A_VALUE,
		    sizeof(uint32_t));
}

static bool right(void *context, unsigned int n)
{
	for (unsigned int time = 0; time < n; time++)
		if (!is_right(context, time))
			return false;
	return true;
}

static void measure_requests(char **arguments, uint8_t command, uint16_t flags)
{
	const uint32_t number = NUMBER, by = 1;
	struct repetition often = repetition(arguments);
	struct client client = {
		.fd = open_socket(),
		.answers = allocate(often.times, sizeof(*client.answers)),
		.lengths = allocate(often.times, sizeof(*client.lengths)),
	};
	struct work work = { .prepare = prepare, .once = once, .right = right, .context = &client };

	begin(&client.request, family(client.fd), command, flags);
	put(&client.request, COUNTER_A_NUMBER, &number, sizeof(number));
	if (command == COUNTER_CMD_ADD)
		put(&client.request, COUNTER_A_BY, &by, sizeof(by));
	print(measure(&work, often), often.rounds);
}

/* ROUNDS TIMES: measures requests for a counter. */
void measure_counter_get(char **arguments)
{
	measure_requests(arguments, COUNTER_CMD_GET, 0);
}

/*
 * ROUNDS TIMES: measures additions to a counter, with an acknowledgement. Nobody listens to the
 * events.
 */
void measure_counter_add(char **arguments)
{
	measure_requests(arguments, COUNTER_CMD_ADD, NLM_F_ACK);
}
