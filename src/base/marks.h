/*
 * Marks on packets and connections that the kernel's rules and the sockets share. Only this byte of
 * a mark is ours: it is set and compared under the mask, the others are left to their owners. They
 * are numbers that nobody thinks of first: what has MARK_LOCAL is delivered here, and traffic
 * shapers mark with 1, 2, 3.
 */
#pragma once

#define MARK_MASK     0xffu
#define MARK_CLIENT   0xfcu /* SO_MARK of a listener and of its connections with clients */
#define MARK_LOCAL    0xfbu /* packet: deliver it on this host, whatever its destination */
#define MARK_STEERED  0xfdu /* connection: a client's, steered to a listener */
#define MARK_UPSTREAM 0xfeu /* SO_MARK of a connection to the backend; then of its connection */
