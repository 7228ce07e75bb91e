/*
 * The PROXY protocol's header, versions 1 and 2 (HAProxy's doc/proxy-protocol.txt; its sections are
 * named below). Pure: octets in, addresses out, and back.
 */
#pragma once

#include "base/addr.h"

#define PROXY_HEADER_MAX    4096 /* octets that are taken of one, with all TLVs */
#define PROXY_HEADER_V1_MAX 107  /* 2.1; CRLF counted */
#define PROXY_HEADER_V2_MAX 52   /* one that is written here */

enum proxy_header_outcome {
	PROXY_HEADER_DONE = 0,
	PROXY_HEADER_MORE,
	PROXY_HEADER_BAD, /* this is no header, whatever comes yet: abort the connection */
};

struct proxy_header {
	size_t used; /* octets of it; what is behind them is the client's */
	/* The connection's own addresses count: LOCAL, UNKNOWN, and what isn't TCP over IP. The
	 * endpoints are unset then. */
	bool is_local;
	struct endpoint source;
	struct endpoint destination;
};

/*
 * A header at the start of in, which is all that came so far. Strict in what 2.1 and 2.2 demand,
 * and BAD at the first octet that rules a header out; only an IPv6 address in text is judged at its
 * end. In version 2 the TLVs of a TCP header must be well-formed, and its CRC32C, when there,
 * right; a block of which no address is taken is skipped unseen.
 */
enum proxy_header_outcome proxy_header_parse(struct sv in, struct proxy_header *ret_header);

/*
 * Headers to send; each returns its length. Where one address is IPv4 and the other IPv6, both are
 * written as IPv6, the IPv4 one mapped.
 */
size_t proxy_header_write_v1(const struct endpoint *source, const struct endpoint *destination,
			     char out[PROXY_HEADER_V1_MAX]);
size_t proxy_header_write_v2(const struct endpoint *source, const struct endpoint *destination,
			     char out[PROXY_HEADER_V2_MAX]);
/* For a connection that is nobody else's. Receivers may refuse UNKNOWN (2.1). */
size_t proxy_header_write_v1_unknown(char out[PROXY_HEADER_V1_MAX]);
size_t proxy_header_write_v2_local(char out[PROXY_HEADER_V2_MAX]);

/*
 * Whether a client that must not send a header begins with one. It looks on and holds nothing back:
 * up to its YES no octet of a header made a command, as version 1 has no CRLF so far, and version 2
 * only empty lines. All zero at the start of a connection; again behind a header and inside TLS.
 */
enum proxy_lure_outcome {
	PROXY_LURE_MAYBE = 0,
	PROXY_LURE_NO, /* and it stays so */
	PROXY_LURE_YES,
};

struct proxy_lure {
	uint8_t outcome; /* enum proxy_lure_outcome */
	uint8_t version;
	uint8_t matched; /* octets */
};

/* The client's next octets. */
enum proxy_lure_outcome proxy_lure_feed(struct proxy_lure *lure, struct sv in);
