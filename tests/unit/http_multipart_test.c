/* multipart/byteranges: RFC 9110 section 14.6. */
#include "edge/http/multipart.h"

#include "tests/unit/http_table.h"

static const http_ranges_t two = {2, {{500, 1000}, {7000, 8000}}};

static void reads_as_the_rfc_has_it(void **state)
{
    (void)state;
    http_multipart_t multipart = {TEXT("THIS_STRING_SEPARATES"), TEXT("application/pdf"), 8000, two};
    char head[256], end[HTTP_MULTIPART_END_MAX];
    assert_true(http_multipart_head_max(&multipart) <= sizeof head);
    assert_true(
        text_equal(http_multipart_head(&multipart, 0, head), TEXT("--THIS_STRING_SEPARATES\r\n"
                                                                  "Content-Type: application/pdf\r\n"
                                                                  "Content-Range: bytes 500-999/8000\r\n"
                                                                  "\r\n")));
    assert_true(
        text_equal(http_multipart_head(&multipart, 1, head), TEXT("\r\n--THIS_STRING_SEPARATES\r\n"
                                                                  "Content-Type: application/pdf\r\n"
                                                                  "Content-Range: bytes 7000-7999/8000\r\n"
                                                                  "\r\n")));
    assert_true(text_equal(http_multipart_end(&multipart, end), TEXT("\r\n--THIS_STRING_SEPARATES--\r\n")));
}

static void a_part_has_no_type_where_the_whole_has_none(void **state)
{
    (void)state;
    http_multipart_t multipart = {TEXT("b"), {NULL, 0}, 8000, two};
    char head[256];
    assert_true(text_equal(http_multipart_head(&multipart, 0, head),
                           TEXT("--b\r\nContent-Range: bytes 500-999/8000\r\n\r\n")));
}

static void the_length_is_that_of_all_of_it(void **state)
{
    (void)state;
    http_multipart_t multipart = {
        TEXT("b"), TEXT("a/b"), UINT64_MAX, {2, {{0, 3}, {UINT64_MAX - 5, UINT64_MAX}}}};
    char *head = malloc(http_multipart_head_max(&multipart)), end[HTTP_MULTIPART_END_MAX];
    uint64_t length = 3 + 5 + http_multipart_end(&multipart, end).length;
    for (size_t i = 0; i < 2; i++)
        length += http_multipart_head(&multipart, i, head).length;
    assert_int_equal(http_multipart_length(&multipart, head), length);
    free(head);
}

static void a_boundary_is_in_the_type(void **state)
{
    (void)state;
    char boundary[HTTP_BOUNDARY_LENGTH + 1], type[HTTP_MULTIPART_TYPE_MAX];
    text_t made = http_multipart_boundary(0x1, UINT64_MAX, boundary);
    assert_true(text_equal(made, TEXT("0000000000000001ffffffffffffffff")));
    assert_true(text_equal(http_multipart_type(made, type),
                           TEXT("multipart/byteranges; boundary=0000000000000001ffffffffffffffff")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_as_the_rfc_has_it),
        cmocka_unit_test(a_part_has_no_type_where_the_whole_has_none),
        cmocka_unit_test(the_length_is_that_of_all_of_it),
        cmocka_unit_test(a_boundary_is_in_the_type),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
