/* What a hit costs without Selvedge: libh2o alone, answering every request with the same fields and bytes.
 *
 *   hit_bare CERT KEY CIPHERSUITE BODY_FILE ['name: value']...
 *
 * One thread, TLS on a free port of 127.0.0.1, which is printed. Fields that libh2o writes itself (date,
 * content-length) are not to be given. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <h2o.h>
#include <h2o/http1.h>
#include <h2o/http2.h>
#include <openssl/ssl.h>

enum { FIELDS_MAX = 32, BODY_MAX = 1 << 20, ACCEPTS_MAX = 16 };

static struct {
    const h2o_token_t *token; /* NULL for names that libh2o has no token for */
    h2o_iovec_t name, value;
} fields[FIELDS_MAX];
static size_t field_count;
static h2o_iovec_t body;

static h2o_globalconf_t config;
static h2o_context_t context;
static h2o_accept_ctx_t accepting = {.ctx = &context};

static void fail(const char *what)
{
    fprintf(stderr, "hit_bare: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void proceed(h2o_generator_t *generator, h2o_req_t *request)
{
    (void)generator;
    h2o_send(request, &body, 1, H2O_SEND_STATE_FINAL);
}

static int on_request(h2o_handler_t *handler, h2o_req_t *request)
{
    (void)handler;
    h2o_generator_t *generator = h2o_mem_alloc_pool(&request->pool, sizeof(*generator));
    *generator = (h2o_generator_t){proceed, NULL};
    request->res.status = 200;
    request->res.reason = "OK";
    request->res.content_length = body.len;
    for (size_t i = 0; i < field_count; i++) {
        if (fields[i].token != NULL)
            h2o_add_header(&request->pool, &request->res.headers, fields[i].token, NULL, fields[i].value.base,
                           fields[i].value.len);
        else
            h2o_add_header_by_str(&request->pool, &request->res.headers, fields[i].name.base,
                                  fields[i].name.len, 0, NULL, fields[i].value.base, fields[i].value.len);
    }
    h2o_start_response(request, generator);
    proceed(generator, request);
    return 0;
}

static void on_accept(h2o_socket_t *listener, const char *error)
{
    h2o_socket_t *socket;
    if (error != NULL)
        return;
    for (int i = 0; i < ACCEPTS_MAX && (socket = h2o_evloop_socket_accept(listener)) != NULL; i++)
        h2o_accept(&accepting, socket);
}

static void read_field(char *argument)
{
    char *colon = strstr(argument, ": ");
    if (colon == NULL || field_count == FIELDS_MAX) {
        fprintf(stderr, "hit_bare: not a field, or too many: %s\n", argument);
        exit(2);
    }
    fields[field_count].name = h2o_iovec_init(argument, (size_t)(colon - argument));
    fields[field_count].value = h2o_iovec_init(colon + 2, strlen(colon + 2));
    fields[field_count].token = h2o_lookup_token(argument, (size_t)(colon - argument));
    field_count++;
}

static void read_body(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        fail(path);
    body.base = h2o_mem_alloc(BODY_MAX);
    body.len = fread(body.base, 1, BODY_MAX, file);
    if (ferror(file))
        fail(path);
    fclose(file);
}

static void use_tls(const char *certificate, const char *key, const char *ciphersuite)
{
    SSL_CTX *tls = SSL_CTX_new(TLS_server_method());
    if (tls == NULL || SSL_CTX_use_certificate_chain_file(tls, certificate) != 1 ||
        SSL_CTX_use_PrivateKey_file(tls, key, SSL_FILETYPE_PEM) != 1 ||
        SSL_CTX_set_ciphersuites(tls, ciphersuite) != 1)
        fail("certificate, key or cipher suite");
    SSL_CTX_set_min_proto_version(tls, TLS1_2_VERSION);
    h2o_ssl_register_alpn_protocols(tls, h2o_http2_alpn_protocols);
    accepting.ssl_ctx = tls;
}

static void serve_everything(void)
{
    h2o_config_init(&config);
    config.server_name = h2o_iovec_init(NULL, 0); /* no Server field */
    h2o_hostconf_t *host = h2o_config_register_host(&config, h2o_iovec_init(H2O_STRLIT("default")), 65535);
    h2o_create_handler(h2o_config_register_path(host, "/", 0), sizeof(h2o_handler_t))->on_req = on_request;
    h2o_context_init(&context, h2o_evloop_create(), &config);
    accepting.hosts = config.hosts;
}

static unsigned listen_on_a_free_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof(address);
    int listening = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (listening < 0 || bind(listening, (struct sockaddr *)&address, length) != 0 ||
        listen(listening, 1024) != 0 || getsockname(listening, (struct sockaddr *)&address, &length) != 0)
        fail("listen");
    h2o_socket_t *listener = h2o_evloop_socket_create(context.loop, listening, H2O_SOCKET_FLAG_DONT_READ);
    h2o_socket_read_start(listener, on_accept);
    return ntohs(address.sin_port);
}

int main(int count, char **arguments)
{
    if (count < 5) {
        fprintf(stderr, "usage: hit_bare CERT KEY CIPHERSUITE BODY_FILE ['name: value']...\n");
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    use_tls(arguments[1], arguments[2], arguments[3]);
    read_body(arguments[4]);
    for (int i = 5; i < count; i++)
        read_field(arguments[i]);
    serve_everything();
    printf("%u\n", listen_on_a_free_port());
    fflush(stdout);
    while (h2o_evloop_run(context.loop, INT32_MAX) == 0)
        continue;
    return 1;
}
