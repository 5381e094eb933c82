// The stage of a stream that computes on a pool: the values in its cells, the task that feeds them,
// and its next(). See par_ring.hpp for the rules and par_engine.hpp for who runs what.
// Thread rule: as stages; compute() on threads of the pool, one for a cell.
#pragma once

#include <blitzio/bridge/byte_size.hpp>
#include <blitzio/bridge/detail/par_engine.hpp>
#include <blitzio/io/stream_stages.hpp>

#include <algorithm>
#include <cstddef>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <system_error>
#include <type_traits>
#include <utility>
#include <vector>

namespace blitzio::detail
{

/// `function(arguments..., stop_token)` where that is possible, else without the token.
template <class Function, class... Args>
decltype(auto) call_with_stop(Function& function, [[maybe_unused]] stop_token stop, Args&&... args)
{
    if constexpr (std::is_invocable_v<Function&, Args..., stop_token>)
    {
        return std::invoke(function, std::forward<Args>(args)..., stop);
    }
    else
    {
        return std::invoke(function, std::forward<Args>(args)...);
    }
}

template <class Function, class... Args>
using called_with_stop_t = std::remove_cvref_t<decltype(call_with_stop(
    std::declval<Function&>(), std::declval<stop_token>(), std::declval<Args>()...))>;

/// What the three kinds of stages have in common: `Logic` has
///     input, output                 types
///     holder                        where the input lies; default constructible
///     void compute(holder&, outcome_slot<stream_step<output>>&, stop_token)
///     bool resizes                  whether a result may be larger than what it was made of
/// compute() stores a value, an error, or nothing (std::nullopt) for what is dropped; may throw.
template <class In, class Function>
struct par_map_logic
{
    using given = called_with_stop_t<Function, In>;
    using input = In;
    using output = typename bare_value<given>::type;
    using holder = std::optional<In>;
    static constexpr bool resizes = true;
    static_assert(!std::is_void_v<output>, "the function of par_map gives a value");

    Function function;

    void compute(holder& from, outcome_slot<stream_step<output>>& out, stop_token stop)
    {
        emit<output>(out, call_with_stop(function, stop, std::move(*from)));
    }
};

template <class In, class Predicate>
struct par_filter_logic
{
    using given = called_with_stop_t<Predicate, const In&>;
    using input = In;
    using output = In;
    using holder = std::optional<In>;
    static constexpr bool resizes = false;
    static_assert(std::is_convertible_v<typename bare_value<given>::type, bool>,
                  "the predicate of par_filter gives a bool");

    Predicate predicate;

    void compute(holder& from, outcome_slot<stream_step<In>>& out, stop_token stop)
    {
        auto wanted = call_with_stop(predicate, stop, std::as_const(*from));
        if constexpr (is_result<given>)
        {
            if (!wanted)
            {
                out.emplace_value(fail(wanted.error()));
                return;
            }
            decide(static_cast<bool>(*wanted), from, out);
        }
        else
        {
            decide(static_cast<bool>(wanted), from, out);
        }
    }

private:
    static void decide(bool wanted, holder& from, outcome_slot<stream_step<In>>& out)
    {
        out.emplace_value(wanted ? make_step<In>(*std::move(from)) : end_step<In>());
    }
};

template <class In, class Function>
struct par_chunks_logic
{
    using given = called_with_stop_t<Function, std::span<In>>;
    using input = In;
    using output = typename bare_value<given>::type;
    using holder = std::vector<In>;
    static constexpr bool resizes = true;
    static_assert(!std::is_void_v<output>, "the function of par_chunks gives a value");

    Function function;
    std::size_t gathered;

    void compute(holder& from, outcome_slot<stream_step<output>>& out, stop_token stop)
    {
        emit<output>(out, call_with_stop(function, stop, std::span<In>(from)));
    }
};

template <class Upstream, class Logic>
class par_stage
{
    using input = typename Logic::input;
    using holder = typename Logic::holder;
    static constexpr bool gathers = std::is_same_v<holder, std::vector<input>>;

    struct cell : par_cell
    {
        holder value;
        outcome_slot<stream_step<typename Logic::output>> outcome;
    };

public:
    using value_type = typename Logic::output;
    class next_operation;

    par_stage(Upstream&& upstream, compute::pool* pool, const streams::par_options& options,
              Logic&& logic)
        : upstream_(std::move(upstream)), logic_(std::move(logic)), engine_(pool, options)
    {
    }

    /// Only before open().
    par_stage(par_stage&& other)
        : upstream_(std::move(other.upstream_)), logic_(std::move(other.logic_)),
          engine_(std::move(other.engine_))
    {
    }

    ~par_stage()
    {
        // What several threads threw, and only one exception is thrown again.
        for (std::size_t index = 0; index < cell_count_; ++index)
        {
            if (cells_[index].outcome.has_exception())
            {
                engine_.report(cells_[index].outcome.exception());
            }
        }
    }

    void open(stream_scope& scope)
    {
        const std::size_t count = engine_.open(scope.env(), this, &compute, Logic::resizes);
        cells_ = std::make_unique<cell[]>(count);
        cell_count_ = count;
        for (std::size_t index = 0; index < count; ++index)
        {
            engine_.add_cell(cells_[index]);
        }
        // Before anything is launched, which cannot be taken back.
        task<void> feeding = feed(*this);
        upstream_.open(scope);
        feeder_.launch(scope, std::move(feeding));
    }

    void close() noexcept
    {
        engine_.close();
        upstream_.close();
    }

    [[nodiscard]] next_operation next() noexcept
    {
        return next_operation(*this);
    }

private:
    /// On a thread of the pool.
    static par_verdict compute(void* stage, par_cell& where, std::error_code refused) noexcept
    {
        auto& self = *static_cast<par_stage*>(stage);
        auto& here = static_cast<cell&>(where);
        par_verdict verdict = par_verdict::failed;
        try
        {
            if (refused)
            {
                here.outcome.emplace_value(fail(refused));
                verdict = par_verdict::stopped;
            }
            else
            {
                self.logic_.compute(here.value, here.outcome, self.engine_.token());
                verdict = self.judge(here);
            }
        }
        catch (...)
        {
            here.outcome.emplace_exception(std::current_exception());
        }
        // Here and not by the consumer: freeing a large value may take a while.
        if constexpr (gathers)
        {
            here.value.clear(); // keeps its memory for the next chunk
        }
        else
        {
            here.value.reset();
        }
        return verdict;
    }

    [[nodiscard]] par_verdict judge(cell& computed) const
    {
        const auto& step = computed.outcome.value();
        if (!step)
        {
            return par_verdict::failed;
        }
        if (!step->has_value())
        {
            return par_verdict::dropped;
        }
        if constexpr (Logic::resizes)
        {
            if (engine_.counts_bytes())
            {
                computed.result_bytes = streams::byte_size(**step);
            }
        }
        return par_verdict::value;
    }

    /// The task that asks above and fills the cells; ends when no thread computes any more.
    static task<void> feed(par_stage& self)
    {
        std::error_code error = self.engine_.refused();
        std::exception_ptr thrown;
        if (!error)
        {
            try
            {
                if constexpr (gathers)
                {
                    error = co_await self.feed_chunks();
                }
                else
                {
                    error = co_await self.feed_values();
                }
            }
            catch (...)
            {
                thrown = std::current_exception();
            }
        }
        if (self.gathering_ != nullptr && !is_empty(self.gathering_->value))
        {
            self.publish_gathered(); // they came before the end or the failure
        }
        self.engine_.end_feeding(error, thrown);
        co_await self.engine_.drained();
    }

    /// Until the source ends or fails, or nothing more is wanted.
    task<std::error_code> feed_values()
    {
        par_cell* free = nullptr;
        for (;;)
        {
            const bool has_cell = co_await engine_.free_cell(free);
            if (!has_cell)
            {
                break;
            }
            auto step = co_await upstream_.next();
            if (!step)
            {
                co_return step.error();
            }
            if (!step->has_value())
            {
                break;
            }
            cell& filled = static_cast<cell&>(*free);
            filled.value.emplace(std::move(**step));
            const std::size_t bytes = streams::byte_size(*filled.value);
            const bool granted = co_await engine_.room(filled, bytes);
            if (!granted)
            {
                break;
            }
            engine_.publish(filled);
            if (!consume_budget())
            {
                co_await yield();
            }
        }
        co_return std::error_code();
    }

    task<std::error_code> feed_chunks()
    {
        // Each await is a statement of its own: what GCC makes of awaits inside of && and || has been
        // wrong before.
        for (;;)
        {
            if (gathering_ == nullptr)
            {
                const bool begun = co_await begin_chunk();
                if (!begun)
                {
                    break;
                }
            }
            auto step = co_await upstream_.next();
            if (!step)
            {
                co_return step.error();
            }
            if (!step->has_value())
            {
                break;
            }
            const std::size_t bytes = streams::byte_size(**step);
            if (!gathering_->value.empty() && !engine_.try_room(*gathering_, bytes))
            {
                // Room is made by what is computed, so it must not wait for this chunk to be full.
                publish_gathered();
                const bool begun = co_await begin_chunk();
                if (!begun)
                {
                    break;
                }
            }
            if (gathering_->value.empty())
            {
                const bool granted = co_await engine_.room(*gathering_, bytes);
                if (!granted)
                {
                    break;
                }
            }
            gathering_->value.push_back(std::move(**step));
            if (gathering_->value.size() == logic_.gathered)
            {
                publish_gathered();
            }
            if (!consume_budget())
            {
                co_await yield();
            }
        }
        co_return std::error_code();
    }

    task<bool> begin_chunk()
    {
        par_cell* free = nullptr;
        const bool granted = co_await engine_.free_cell(free);
        if (granted)
        {
            gathering_ = static_cast<cell*>(free);
            // A chunk that is huge on paper only is not paid for in advance.
            constexpr std::size_t reserved_max = 4096;
            gathering_->value.reserve(std::min(logic_.gathered, reserved_max));
        }
        co_return granted;
    }

    void publish_gathered() noexcept
    {
        engine_.publish(*std::exchange(gathering_, nullptr));
    }

    static bool is_empty(const holder& value) noexcept
    {
        if constexpr (gathers)
        {
            return value.empty();
        }
        else
        {
            return !value.has_value();
        }
    }

    Upstream upstream_;
    Logic logic_;
    par_engine engine_;
    std::unique_ptr<cell[]> cells_;
    std::size_t cell_count_ = 0;
    cell* gathering_ = nullptr; // par_chunks: the chunk that is not full yet
    stream_child feeder_;
    /// The consumer's: the end or a failure was given on.
    bool finished_ = false;
};

template <class Upstream, class Logic>
class par_stage<Upstream, Logic>::next_operation
    : public awaitable_base<typename par_stage<Upstream, Logic>::next_operation>,
      private par_consumer_wait
{
public:
    explicit next_operation(par_stage& stage) noexcept : stage_(&stage) {}

    /// Only before start().
    next_operation(next_operation&& other) noexcept : par_consumer_wait(), stage_(other.stage_) {}

    [[nodiscard]] bool start(const task_env&, waiter who) noexcept
    {
        if (stage_->finished_)
        {
            return false;
        }
        on_complete_ = who;
        this->run = [](runnable* item) noexcept {
            resume(static_cast<next_operation*>(static_cast<par_consumer_wait*>(item))
                       ->on_complete_());
        };
        return !stage_->engine_.take(*this);
    }

    [[nodiscard]] stream_step<value_type> await_resume()
    {
        if (this->cell == nullptr)
        {
            return at_end();
        }
        auto& taken = static_cast<par_stage::cell&>(*this->cell);
        const releasing after_return{*stage_, taken};
        stage_->finished_ = taken.verdict >= par_verdict::failed;
        return taken.outcome.take();
    }

private:
    struct releasing
    {
        par_stage& stage;
        par_cell& taken;

        ~releasing()
        {
            stage.engine_.release(taken);
        }
    };

    stream_step<value_type> at_end()
    {
        if (std::exchange(stage_->finished_, true))
        {
            return end_step<value_type>();
        }
        auto [error, thrown] = stage_->engine_.failure();
        if (thrown != nullptr)
        {
            std::rethrow_exception(std::move(thrown));
        }
        if (error)
        {
            return fail(error);
        }
        return end_step<value_type>();
    }

    par_stage* stage_;
    waiter on_complete_;
};

} // namespace blitzio::detail
