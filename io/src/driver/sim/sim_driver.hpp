// The driver of one logical worker in a simulated world: operations are carried out and completed
// at virtual times that the seed chooses.
// Thread rule: the simulation's thread only, except wake().
#pragma once

#include "driver/driver.hpp"
#include "driver/sim/buffer_guard.hpp"
#include "driver/sim/descriptor_table.hpp"
#include "driver/sim/perform.hpp"

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

namespace blitzio::detail
{

class sim_world;

class sim_driver final : public driver
{
public:
    sim_driver(sim_world& world, unsigned worker_index,
               const read_buffer_options& read_buffers = {});
    ~sim_driver() override;

    [[nodiscard]] bool submit(op& operation) noexcept override;
    void cancel(op& operation, ready_list& ready) noexcept override;
    void poll(ready_list& ready) noexcept override;
    /// The same as poll(): the simulation's loop decides when time passes.
    void wait(ready_list& ready, std::optional<std::chrono::nanoseconds> timeout) noexcept override;
    void wake() noexcept override;
    [[nodiscard]] bool has_work() const noexcept override;
    [[nodiscard]] std::uint64_t in_flight() const noexcept override;
    /// An eventfd. When virtual time passes is the simulation's loop's to know, which therefore
    /// calls these three itself.
    [[nodiscard]] result<int> descriptor() noexcept override;
    [[nodiscard]] bool rest(ready_list& ready,
                            std::optional<std::chrono::nanoseconds> until) noexcept override;
    void end_rest(ready_list& ready) noexcept override;
    void call_again() noexcept override;
    [[nodiscard]] read_buffer_counters read_buffers() const noexcept override
    {
        return buffers_.counters();
    }

    /// True when completions are ready to be handed out.
    [[nodiscard]] bool has_completions() const noexcept
    {
        return !due_.empty();
    }
    [[nodiscard]] bool is_woken() const noexcept
    {
        return woken_.load(std::memory_order_acquire); // pairs with wake()
    }
    /// The description that operation `id` waits for has changed.
    void look_again(std::uint64_t id);

private:
    enum class phase : std::uint8_t
    {
        queued,    // not handed over: its descriptor has not been looked up
        started,   // an attempt is scheduled
        waiting,   // the description has to change first
        performed, // the result is known, its delivery is scheduled
    };

    struct pending_operation
    {
        op* operation;
        std::uint64_t id;
        phase now = phase::queued;
        bool connect_begun = false;
        bool cancel_pending = false;
        std::int32_t result = 0;
        std::shared_ptr<sim::description> target;
        sim::buffer_guard guard;
        /// What a read-type operation obtained, until its delivery: the buffer holds garbage.
        sim::staged_output staged;
    };

    /// Something to hand out: the result of operation `id`, or the end of a cancel request.
    struct due_notice
    {
        std::uint64_t id;
        op* cancelled;
    };

    [[nodiscard]] bool try_inline(op& operation);
    void flush();
    void begin(pending_operation& entry);
    void attempt(pending_operation& entry);
    [[nodiscard]] bool fail_as_injected(pending_operation& entry);
    void attempt_later(std::uint64_t id);
    void set_result(pending_operation& entry, std::int32_t result);
    void deliver(std::uint64_t id, ready_list& ready);
    /// `ready` is nullptr when the request is dealt with outside of cancel().
    void process_cancel(std::uint64_t id, op& operation, ready_list* ready);
    void cancel_pending(pending_operation& entry, ready_list* ready);
    void end_cancel(op& operation, ready_list* ready);
    void finish_cancel(op& operation, ready_list& ready);
    [[nodiscard]] bool is_unstoppable(const pending_operation& entry);
    void report(const op& operation, std::string_view problem);
    void trace_completion(const op& operation, std::int32_t result) noexcept;
    [[nodiscard]] pending_operation* find(std::uint64_t id);
    /// Runs `what(*this)` later, unless the driver is gone by then.
    template <class Action>
    void after(std::chrono::nanoseconds delay, Action what);

    sim_world& world_;
    unsigned worker_index_;
    worker_buffers buffers_;
    std::uint64_t sequence_ = 0;
    std::uint64_t cancels_pending_ = 0;
    std::map<std::uint64_t, pending_operation> pending_;
    std::vector<std::uint64_t> unflushed_;
    std::vector<due_notice> due_;
    std::atomic<bool> woken_{false};
    /// Once asked for; from then on each wake-up makes it readable.
    std::atomic<int> loop_fd_{-1};
    /// Events hold it weakly.
    std::shared_ptr<sim_driver*> self_;
};

} // namespace blitzio::detail
