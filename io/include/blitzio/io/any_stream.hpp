// stream<T>: a pipeline that hides what it is made of.
// Thread rule: as stream.hpp says.
#pragma once

#include <blitzio/io/detail/child_starter.hpp>
#include <blitzio/io/stream.hpp>

#include <exception>
#include <memory>
#include <type_traits>
#include <utility>

namespace blitzio
{

namespace detail
{

/// What stream<T> knows of the pipeline inside.
template <class T>
class any_stage
{
public:
    any_stage() noexcept = default;
    any_stage(const any_stage&) = delete;
    any_stage& operator=(const any_stage&) = delete;
    virtual ~any_stage() = default;

    virtual void open(stream_scope& scope) = 0;
    virtual void close() noexcept = 0;
    [[nodiscard]] virtual bool start_next(const task_env& env, waiter who) noexcept = 0;
    [[nodiscard]] virtual stream_step<T> take_next() = 0;
};

template <class Stage>
class any_stage_of final : public any_stage<typename Stage::value_type>, private child_starter
{
public:
    explicit any_stage_of(Stage&& stage) : stage_(std::move(stage)) {}

    void open(stream_scope& scope) override
    {
        stage_.open(scope);
    }

    void close() noexcept override
    {
        stage_.close();
    }

    [[nodiscard]] bool start_next(const task_env& env, waiter who) noexcept override
    {
        try
        {
            asking_.emplace_from([this] { return stage_.next(); });
        }
        catch (...)
        {
            thrown_ = std::current_exception();
            return false;
        }
        return this->start_child(*asking_, env, who);
    }

    [[nodiscard]] stream_step<typename Stage::value_type> take_next() override
    {
        if (thrown_ != nullptr)
        {
            std::rethrow_exception(std::exchange(thrown_, nullptr));
        }
        return asking_->await_resume();
    }

private:
    Stage stage_;
    late_value<next_operation_t<Stage>> asking_;
    std::exception_ptr thrown_;
};

template <class T>
class any_next_operation : public awaitable_base<any_next_operation<T>>
{
public:
    explicit any_next_operation(any_stage<T>& stage) noexcept : stage_(&stage) {}

    [[nodiscard]] bool start(const task_env& env, waiter who) noexcept
    {
        return stage_->start_next(env, who);
    }

    [[nodiscard]] stream_step<T> await_resume()
    {
        return stage_->take_next();
    }

private:
    any_stage<T>* stage_;
};

} // namespace detail

/// A pipeline of values of type T, whatever it is made of: for interfaces between parts of a program.
///     stream<record> read_records(std::string path);
/// Goes on with `|` and consume() like what it was made from. One allocation when it is made, none
/// for a value, which costs two virtual calls.
template <class T>
class [[nodiscard]] stream
{
public:
    using value_type = T;

    template <class Source>
        requires(stream_source<Source> && !std::is_same_v<Source, stream>)
    stream(Source source) // NOLINT(google-explicit-constructor): a stream hides what it is made of
    {
        using stage = detail::stage_t<Source>;
        static_assert(std::is_same_v<typename stage::value_type, T>,
                      "a stream<T> is made of a source or a pipeline of T");
        stage_ = std::make_unique<detail::any_stage_of<stage>>(detail::to_stage(std::move(source)));
    }

    void open(stream_scope& scope)
    {
        stage_->open(scope);
    }

    void close() noexcept
    {
        stage_->close();
    }

    [[nodiscard]] auto next() noexcept
    {
        return detail::any_next_operation<T>(*stage_);
    }

private:
    std::unique_ptr<detail::any_stage<T>> stage_;
};

} // namespace blitzio
