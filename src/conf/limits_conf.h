/* `limits` of the configuration: what one client, and all together, may ask of us. Of each number 0
 * means no limit, where nothing else is said. */
#pragma once

#include <stdint.h>

struct limits_conf {
	int connections;     /* sessions at a time; 0: as many as there are descriptors for */
	int per_client;      /* of one client: IPv4 address or IPv6 /64 */
	int per_client_rate; /* new ones of it a minute */
	int commands;        /* of a session */
	int errors;          /* 5xx replies in a session, since the last accepted message */
	int min_rate;        /* octets a second of a message, on average over data_ms */
	int64_t memory;      /* octets in buffers; 0: an eighth of the host's */
	/* RFC 5321 4.5.3.2, ms: the client's next command, a block of its message; the backend's
	 * replies, the one to DATA, the one to the end of a message. */
	int64_t command_ms, data_ms, backend_ms, data_start_ms, final_ms;
};
