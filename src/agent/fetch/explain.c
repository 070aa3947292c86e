#include "agent/fetch/explain.h"
#include <ctype.h>

long explain_status(CURL *curl)
{
	long status = 0;

	return curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status) == CURLE_OK ? status : 0;
}

static int explain_connect(CURL *curl, struct fleet_error *err)
{
	long os = 0;
	char text[128];

	if (curl_easy_getinfo(curl, CURLINFO_OS_ERRNO, &os) != CURLE_OK || os <= 0)
		os = ECONNREFUSED;
	(void)snprintf(text, sizeof(text), "%s", strerror((int)os));
	text[0] = (char)tolower((unsigned char)text[0]); /* it stands within a sentence */
	return fleet_error_set(err, -(int)os, "%s", text);
}

int explain_failure(CURL *curl, CURLcode code, const char *message, struct fleet_error *err)
{
	if (str_empty(message))
		message = curl_easy_strerror(code);
	switch (code) {
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_RESOLVE_PROXY:
		return fleet_error_set(err, -EHOSTUNREACH, "the host's name is not known (%s)", message);
	case CURLE_COULDNT_CONNECT:
		return explain_connect(curl, err);
	case CURLE_OPERATION_TIMEDOUT:
		return fleet_error_set(err, -ETIMEDOUT, "the server does not answer, or far too slowly");
	case CURLE_GOT_NOTHING:
	case CURLE_RECV_ERROR:
	case CURLE_SEND_ERROR:
	case CURLE_PARTIAL_FILE:
	case CURLE_HTTP2:
	case CURLE_HTTP2_STREAM:
		return fleet_error_set(
			err, -ECONNRESET, "the connection broke before the answer was complete");
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CACERT_BADFILE:
		return fleet_error_set(err, -EPROTO, "the server's certificate is not trusted: %s", message);
	case CURLE_URL_MALFORMAT:
		return fleet_error_set(err, -EINVAL, "the URL is not valid: %s", message);
	case CURLE_TOO_MANY_REDIRECTS:
		return fleet_error_set(err, -ELOOP, "the server redirects again and again");
	case CURLE_UNSUPPORTED_PROTOCOL: /* so an answer is called that looks like HTTP/0.9 */
	case CURLE_WEIRD_SERVER_REPLY:
		return fleet_error_set(err, -EPROTO, "what answers there does not speak HTTP");
	default:
		return fleet_error_set(err, -EPROTO, "%s", message);
	}
}

bool explain_is_temporary(CURLcode code)
{
	switch (code) {
	case CURLE_URL_MALFORMAT:
	case CURLE_UNSUPPORTED_PROTOCOL:
	case CURLE_WEIRD_SERVER_REPLY:
	case CURLE_TOO_MANY_REDIRECTS:
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_SSL_CERTPROBLEM:
	case CURLE_NOT_BUILT_IN:
	case CURLE_UNKNOWN_OPTION:
	case CURLE_BAD_FUNCTION_ARGUMENT:
	case CURLE_OUT_OF_MEMORY:
		return false;
	default:
		return true;
	}
}

bool explain_is_temporary_status(long status)
{
	return status == 408 || status == 425 || status == 429 || status >= 500;
}

void explain_bytes(int64_t bytes, char *out, size_t out_len)
{
	if (bytes < 100000)
		(void)snprintf(out, out_len, "%lld bytes", (long long)bytes);
	else
		(void)snprintf(out, out_len, "%.1f MB", (double)bytes / 1e6);
}
