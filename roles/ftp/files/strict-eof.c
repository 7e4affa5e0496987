/*
 * Lets ProFTPD see a TLS connection that was cut off.
 *
 * TLS says "this was all" with a close_notify. A connection that ends without one was cut, by accident or by
 * somebody on the way, and SSL_read() then returns 0 just as for a proper end; only the connection's state tells the
 * two apart. ProFTPD's mod_tls looks at negative results alone, and would take half an upload for a whole one. This
 * library stands before OpenSSL's (LD_PRELOAD) and makes that 0 the error that it is.
 */
#define _GNU_SOURCE
#include <dlfcn.h>

struct ssl_st;
extern int SSL_get_shutdown(const struct ssl_st *connection);

enum { RECEIVED_CLOSE_NOTIFY = 2 };

int SSL_read(struct ssl_st *connection, void *buffer, int size)
{
	static int (*next)(struct ssl_st *, void *, int);
	int count;

	if (!next)
		*(void **)&next = dlsym(RTLD_NEXT, "SSL_read");
	count = next(connection, buffer, size);
	if (count == 0 && !(SSL_get_shutdown(connection) & RECEIVED_CLOSE_NOTIFY))
		return -1;
	return count;
}
