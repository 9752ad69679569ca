#include "tests/sim/fiber.h"

#include <ucontext.h>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#define LEAVE(keep, stack, size) __sanitizer_start_switch_fiber(keep, stack, size)
#define ARRIVE(kept, stack, size) __sanitizer_finish_switch_fiber(kept, stack, size)
#else
#define LEAVE(keep, stack, size) ((void)(keep), (void)(stack), (void)(size))
#define ARRIVE(kept, stack, size) ((void)(kept), (void)(stack), (void)(size))
#endif

enum { FIBER_MAGIC = 0x51f1be4, STACK_BYTES = 64 << 10 };

struct fiber {
    uint32_t magic;
    void (*run)(void *context);
    void *context;
    bool ended;
    ucontext_t here;
    void *fake_stack;
    fiber_t *next_free;
    char *stack;
};

static fiber_t *running, *pool;
static ucontext_t main_context;
static void *main_fake_stack;
static const void *main_stack;
static size_t main_stack_bytes;

static void start(void)
{
    ARRIVE(NULL, &main_stack, &main_stack_bytes);
    fiber_t *fiber = running;
    fiber->run(fiber->context);
    fiber->ended = true;
    LEAVE(NULL, main_stack, main_stack_bytes);
    setcontext(&main_context);
}

static void prepare(ucontext_t *context, char *stack)
{
    MUST(getcontext(context) == 0);
    context->uc_stack.ss_sp = stack;
    context->uc_stack.ss_size = STACK_BYTES;
    context->uc_link = NULL;
    makecontext(context, start, 0);
}

fiber_t *fiber_new(void (*run)(void *context), void *context)
{
    fiber_t *fiber = pool;
    if (fiber != NULL) {
        pool = fiber->next_free;
    } else {
        fiber = must_calloc(1, sizeof *fiber);
        fiber->stack = must_alloc(STACK_BYTES);
    }
    fiber->magic = FIBER_MAGIC;
    fiber->run = run;
    fiber->context = context;
    fiber->ended = false;
    fiber->fake_stack = NULL;
    prepare(&fiber->here, fiber->stack);
    return fiber;
}

void fiber_free(fiber_t **pointer)
{
    fiber_t *fiber = *pointer;
    *pointer = NULL;
    MUST_BE(fiber, FIBER_MAGIC);
    MUST(fiber->ended);
    fiber->next_free = pool;
    pool = fiber;
}

void fiber_resume(fiber_t *fiber)
{
    MUST_BE(fiber, FIBER_MAGIC);
    MUST(running == NULL && !fiber->ended);
    running = fiber;
    LEAVE(&main_fake_stack, fiber->stack, STACK_BYTES);
    swapcontext(&main_context, &fiber->here);
    ARRIVE(main_fake_stack, NULL, NULL);
    running = NULL;
}

void fiber_yield(void)
{
    fiber_t *fiber = running;
    MUST(fiber != NULL);
    LEAVE(&fiber->fake_stack, main_stack, main_stack_bytes);
    swapcontext(&fiber->here, &main_context);
    ARRIVE(fiber->fake_stack, &main_stack, &main_stack_bytes);
}

bool fiber_ended(const fiber_t *fiber)
{
    return fiber->ended;
}
