/*
 * A QEMU plugin (user mode, plugin API 1) that counts the instructions of one emulated thread.
 *
 * The program marks a place by asking for its parent's process id, which nothing else does often: at each getppid()
 * the count so far is appended to the file named by the argument, as 8 bytes of the host's order.
 *
 *     qemu-aarch64 -plugin libinstructions.so,marks=FILE ...
 *
 * The declarations stand here since Debian 12 has no package with QEMU's header.
 */
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))
#define GETPPID 173 /* on aarch64 */
#define ADD_U64 0

typedef uint64_t plugin_id;
struct block; /* a translated run of instructions that is executed as a whole */

extern size_t qemu_plugin_tb_n_insns(const struct block *);
extern void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id, void (*)(plugin_id, struct block *));
extern void qemu_plugin_register_vcpu_tb_exec_inline(struct block *, int operation, void *number, uint64_t addend);
extern void qemu_plugin_register_vcpu_syscall_cb(
    plugin_id, void (*)(plugin_id, unsigned, int64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t,
                        uint64_t, uint64_t));

EXPORT int qemu_plugin_version = 1;

static uint64_t executed;
static int marks = -1;

static void translated(plugin_id id, struct block *block)
{
    (void)id;
    qemu_plugin_register_vcpu_tb_exec_inline(block, ADD_U64, &executed, qemu_plugin_tb_n_insns(block));
}

static void called(plugin_id id, unsigned cpu, int64_t number, uint64_t a1, uint64_t a2, uint64_t a3, uint64_t a4,
                   uint64_t a5, uint64_t a6, uint64_t a7, uint64_t a8)
{
    (void)id, (void)cpu, (void)a1, (void)a2, (void)a3, (void)a4, (void)a5, (void)a6, (void)a7, (void)a8;
    if (number == GETPPID && write(marks, &executed, sizeof executed) != (ssize_t)sizeof executed)
        _exit(71);
}

EXPORT int qemu_plugin_install(plugin_id id, const void *info, int argc, char **argv)
{
    static const char name[] = "marks=";

    (void)info;
    if (argc != 1 || strncmp(argv[0], name, sizeof name - 1) != 0)
        return -1;
    marks = open(argv[0] + sizeof name - 1, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (marks < 0)
        return -1;
    qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
    qemu_plugin_register_vcpu_syscall_cb(id, called);
    return 0;
}
