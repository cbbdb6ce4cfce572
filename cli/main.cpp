#include <retrace/cli/bench.h>
#include <retrace/cli/check.h>
#include <retrace/cli/demo.h>
#include <retrace/cli/eval.h>
#include <retrace/cli/exit.h>
#include <retrace/cli/explain.h>
#include <retrace/cli/help.h>
#include <retrace/cli/info.h>
#include <retrace/cli/names.h>
#include <retrace/cli/recipes.h>
#include <retrace/cli/step_command.h>
#include <retrace/cli/train.h>
#include <retrace/cli/values.h>
#include <retrace/core/format.h>
#include <retrace/core/names.h>
#include <retrace/nn/option_ranges.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <functional>

namespace retrace::cli {

namespace {

/// What the program was asked to do.
using Work = std::function<int()>;

void add_batch(CLI::App& app, std::int64_t& batch) {
  add_number(app, "-b,--batch", batch, kCountRange, "images in a batch, {}")
      ->capture_default_str()
      ->type_name("N");
}

void add_json(CLI::App& app, bool& json) { app.add_flag("--json", json, "print JSON, for machines"); }

void add_train_length(CLI::App& app, TrainOptions& o) {
  auto* steps = add_number(app, "--steps", o.steps, kCountRange, "how many steps to train, {}");
  add_number(app, "--epochs", o.epochs, kCountRange, "how often to see all images, {} (default: 1)")
      ->type_name("N")
      ->excludes(steps->type_name("N"));
  add_number(app, "--checkpoint-every", o.checkpoint_every, kCountRange,
             "steps, {} (default: at the end of each epoch)")
      ->type_name("N");
  add_number(app, "--eval-every", o.eval_every, kCountRange, "steps, {} (default: at the end of each epoch)")
      ->type_name("N");
}

void add_steps(CLI::App& app, std::int64_t& steps, const std::string& help) {
  add_number(app, "--steps", steps, kCountRange, help)->capture_default_str()->type_name("N");
}

void add_recipe(CLI::App& app, TrainOptions& o) {
  app.add_option("--recipe", o.recipe,
                 "a named set of options, in place of those not given (see retrace recipes)")
      ->type_name("NAME");
  app.add_option("--recipes", o.recipes, "a JSON file of recipes, beside the built-in ones")
      ->type_name("FILE");
}

void add_train(CLI::App& program, TrainOptions& o, Work& work) {
  CLI::App& app = *program.add_subcommand("train", "train a network; what was killed goes on with --resume");
  add_recipe(app, o);
  add_network_options(app, o.network);
  add_data_options(app, o.data);
  add_policy_option(app, o.policy);
  add_batch(app, o.batch);
  add_train_length(app, o);
  add_optimizer_options(app, o.optimizer);
  add_number(app, "--pad", o.pad, IntRange::at_least(0),
             "black pixels around an image before it is cut, {} (default: usual for the data)")
      ->type_name("N");
  app.add_flag("--flip,!--no-flip", o.flip,
               "exchange left and right at random (default: usual for the data)");
  app.add_option("-w,--weights", o.weights, "a safetensors file to begin with (default: random weights)")
      ->type_name("FILE");
  add_names_option(app, o.names);
  add_run_options(app, o.run);
  app.add_option("--autocast", o.autocast,
                 "bf16 or f16, the type of convolutions and products; the rest stays in f32; or none")
      ->check(one_of({kNoAutocast, "bf16", "f16"}))
      ->capture_default_str()
      ->type_name("TYPE");
  app.add_option("-o,--out", o.out, "folder for log.jsonl, checkpoints and model.safetensors")
      ->required()
      ->type_name("DIR");
  app.add_flag("--resume", o.resume, "go on from the newest checkpoint in the folder, or from the start");
  app.add_flag("-q,--quiet", o.quiet, "show no progress");
  app.footer(
      "Examples:\n"
      "  retrace train --data fashion-mnist --network tiny --epochs 2 --out runs/first\n"
      "  retrace train --data cifar10 --data-dir ~/data --network revnet110 --epochs 160 \\\n"
      "      --lr-steps 40000,60000 --checkpoint-every 500 --out runs/revnet110\n"
      "  ... the same command with --resume, after it was stopped in whatever way: the weights come out\n"
      "  bit for bit as if it had not been.");
  app.callback([&] {
    if (!o.recipe.empty()) check_use([&] { apply_recipe(app, Recipes(o.recipes).find(o.recipe)); });
    work = [&o] { return train(o), kDone; };
  });
}

void add_eval(CLI::App& program, EvalOptions& o, Work& work) {
  CLI::App& app = *program.add_subcommand("eval", "accuracy and loss on the test images");
  app.add_option("-w,--weights", o.weights, "a safetensors file, as train writes it")
      ->required()
      ->type_name("FILE");
  add_names_option(app, o.names);
  add_network_options(app, o.network);
  add_data_options(app, o.data);
  add_batch(app, o.batch);
  add_device_option(app, o.device);
  add_threads_option(app, o.threads);
  add_budget_option(app, o.budget);
  add_json(app, o.json);
  app.footer(
      "The file tells its network and data set; options are for files that do not, or other data.\n\n"
      "Example:\n"
      "  retrace eval --weights runs/first/model.safetensors");
  app.callback([&] { work = [&o] { return run_eval(o); }; });
}

void add_step(CLI::App& program, StepOptions& o, Work& work) {
  CLI::App& app = *program.add_subcommand("step", "training steps from file to file, to compare programs");
  const auto add_file = [&](const char* name, std::filesystem::path& path, const char* help) {
    app.add_option(name, path, help)->required()->type_name("FILE");
  };
  add_network_options(app, o.network);
  add_file("-w,--weights", o.weights, "safetensors: every parameter and buffer");
  add_names_option(app, o.names);
  add_file("--batch", o.batch,
           "safetensors: images [N,C,H,W] and labels [N] of i64, or one more for each step");
  add_steps(app, o.steps, "how many steps to train, {}");
  add_policy_option(app, o.policy);
  add_optimizer_options(app, o.optimizer);
  add_run_options(app, o.run);
  add_file("-o,--out", o.out, "safetensors, as below");
  app.footer(
      "--out gets, in --dtype: loss [steps]; logits and grad.NAME, of the first step; param.NAME and\n"
      "buffer.NAME, after the last one. With --dtype f64, f32 files are widened exactly.\n\n"
      "Example:\n"
      "  retrace step --network revnet38 --names memcnn --weights W.safetensors --batch X.safetensors \\\n"
      "      --steps 2 --policy reversible --lr 0.1 --dtype f64 --out OUT.safetensors");
  app.callback([&] { work = [&o] { return run_step(o); }; });
}

void add_report_files(CLI::App& app, ReportFiles& files) {
  const auto add_file = [&](const char* name, std::filesystem::path& path, const char* help) {
    app.add_option(name, path, help)->type_name("FILE")->group("Files");
  };
  add_file("--html", files.html,
           "a page: bytes over the step, what was alive at the peak and why, bytes by depth");
  add_file("--svg", files.svg, "a picture: bytes over the step");
  add_file("--csv", files.csv, "a row for each allocation and its end: time, phase, node, bytes by tag");
  add_file("--trace", files.trace, "the step in Chrome's trace format, for ui.perfetto.dev");
  add_number(app, "--depths", files.depths, kCountRange,
             "of the page: so many times the blocks, {}, one step each")
      ->delimiter(',')
      ->capture_default_str()
      ->type_name("N,...")
      ->group("Files");
}

void add_bench(CLI::App& program, BenchOptions& o, Work& work) {
  CLI::App& bench = *program.add_subcommand("bench", "measure what training costs");
  bench.require_subcommand(1);
  CLI::App& app = *bench.add_subcommand("memory", "activation bytes and time of one training step");
  add_network_options(app, o.network);
  add_data_options(app, o.data);
  add_policy_option(app, o.policies);
  add_number(app, "-b,--batch", o.batches, kCountRange, "images in a batch, {}; a list makes a row each")
      ->delimiter(',')
      ->capture_default_str()
      ->type_name("N,...");
  add_steps(app, o.steps, "timed steps, of which the median is told, {}");
  add_run_options(app, o.run);
  add_json(app, o.json);
  add_report_files(app, o.files);
  app.footer(
      "Examples:\n"
      "  retrace bench memory --network revnet38 --policy stored,checkpoint,reversible\n"
      "  retrace bench memory --network revnet38 --policy stored,checkpoint,reversible --html report.html\n"
      "  retrace bench memory --network revnet38 --blocks 30,30,30 --batch 32,64 --policy reversible\n"
      "Compare the last one with --blocks 3,3,3: the bytes are the same.");
  app.callback([&] { work = [&o] { return run_bench_memory(o); }; });
}

void add_check(CLI::App& program, CheckOptions& o, Work& work) {
  CLI::App& app = *program.add_subcommand("check", "does the network invert, are the gradients right?");
  add_network_options(app, o.network);
  add_data_options(app, o.data);
  add_policy_option(app, o.policies);
  add_batch(app, o.batch);
  add_steps(app, o.steps, "steps whose losses are compared, {}");
  add_number(app, "--lr", o.lr, kLearningRateRange, "learning rate in these steps, {}")
      ->capture_default_str()
      ->type_name("X");
  add_run_options(app, o.run);
  add_json(app, o.json);
  app.footer(
      "Three questions: does the inverse of each reversible block give its input back, from the block's "
      "output\n"
      "and from the end of the stage; is every parameter's gradient that of the run with stored activations; "
      "do\n"
      "losses and running statistics agree? Up to 1e-9 for gradients in f64; in f32, and for losses, up to "
      "three\n"
      "times what rounding does to the stored run, which is run again in f64 and with its first weights "
      "nudged a\n"
      "little. (A few ReLUs decide otherwise then, and at a high --lr a deep network multiplies differences "
      "tenfold\n"
      "a step.)\n"
      "Exit status 1 when something is out of tolerance.\n\n"
      "Examples:\n"
      "  retrace check --network revnet110\n"
      "  retrace check --network revnet38 --dtype f32 --dropout 0.2 --steps 20");
  app.callback([&] { work = [&o] { return run_check(o); }; });
}

void add_recipes(CLI::App& program, RecipesOptions& o, Work& work) {
  CLI::App& app = *program.add_subcommand("recipes", "the recipes for train --recipe");
  app.add_option("--recipes", o.file, "a JSON file of more recipes")->type_name("FILE");
  add_json(app, o.json);
  app.footer(
      "A recipe sets options of train; one that has a base sets what the base sets, too. In a file:\n"
      "  {\"mine\": {\"base\": \"revnet38\", \"steps\": 500, \"lr-steps\": [300, 400], \"flip\": false}}\n\n"
      "Example:\n"
      "  retrace train --recipe revnet38 --data-dir ~/data --out runs/revnet38\n"
      "  retrace train --recipe mine --recipes my.json --lr 0.05 --data-dir ~/data --out runs/mine");
  app.callback([&] { work = [&o] { return run_recipes(o); }; });
}

void add_info(CLI::App& program, InfoOptions& o, Work& work) {
  CLI::App& app = *program.add_subcommand("info", "a network's layers, parameters and bytes");
  add_network_options(app, o.network);
  app.add_option("-d,--data", o.data.name, "the data set that decides input channels and classes")
      ->capture_default_str()
      ->type_name("NAME");
  add_batch(app, o.batch);
  add_json(app, o.json);
  app.footer(
      "Examples:\n"
      "  retrace info --network revnet38\n"
      "  retrace info --network revnet110 --blocks 3,3,3 --data cifar100 --json");
  app.callback([&] { work = [&o] { return run_info(o); }; });
}

void add_explain(CLI::App& program, ExplainOptions& o, Work& work) {
  CLI::App& app =
      *program.add_subcommand("explain", "one training step, told: what is kept, forgotten and rebuilt");
  add_network_options(app, o.network);
  add_policy_option(app, o.policy);
  add_batch(app, o.batch);
  add_number(app, "--size", o.size, kCountRange, "height and width of the images in pixels, {}")
      ->capture_default_str()
      ->type_name("N");
  add_run_options(app, o.run);
  app.footer(
      "The network is cut down to its first stage with two blocks, unless --blocks and --channels say "
      "otherwise.\n"
      "The images are random numbers.\n\n"
      "Examples:\n"
      "  retrace explain --network tiny\n"
      "  retrace explain --network tiny --policy stored\n"
      "  retrace explain --network tiny --blocks 8 --dtype f32");
  app.callback([&] { work = [&o] { return run_explain(o); }; });
}

void add_demo(CLI::App& program, DemoOptions& o, Work& work) {
  CLI::App& app =
      *program.add_subcommand("demo", "see it: a network learns real images without its activations");
  app.add_option("-o,--out", o.out, "folder for summary.json and memory.svg")
      ->capture_default_str()
      ->type_name("DIR");
  app.add_option("--data-dir", o.data_dir,
                 "folder of Fashion-MNIST (default: where Debian's package puts it)")
      ->type_name("DIR");
  add_threads_option(app, o.threads);
  app.add_flag("-q,--quiet", o.quiet, "show no progress");
  app.callback([&] { work = [&o] { return run_demo(o); }; });
}

struct AllOptions {
  TrainOptions train{};
  EvalOptions eval{};
  BenchOptions bench{};
  CheckOptions check{};
  InfoOptions info{};
  StepOptions step{};
  RecipesOptions recipes{};
  DemoOptions demo{};
  ExplainOptions explain{};
};

/// The words of the command line, the last one first. `help COMMAND` becomes `COMMAND --help`.
std::vector<std::string> arguments(int argc, char** argv) {
  std::vector<std::string> words(argv + 1, argv + argc);
  if (!words.empty() && words.front() == "help") {
    words.erase(words.begin());
    words.emplace_back("--help");
  }
  std::reverse(words.begin(), words.end());
  return words;
}

/// The command that was named last, or the program.
const CLI::App& innermost(const CLI::App& app) {
  const std::vector<CLI::App*> named = app.get_subcommands();
  return named.empty() ? app : innermost(*named.back());
}

/// `retrace bench memory`.
std::string name_of(const CLI::App& command) {
  const CLI::App* parent = command.get_parent();
  return parent == nullptr ? command.get_name() : name_of(*parent) + " " + command.get_name();
}

/// The options and commands that may follow a command.
std::vector<std::string> words_after(const CLI::App& command) {
  std::vector<std::string> words;
  for (const CLI::Option* option : command.get_options())
    for (const std::string& name : option->get_lnames()) words.push_back("--" + name);
  for (const CLI::App* next : command.get_subcommands([](const CLI::App*) { return true; }))
    words.push_back(next->get_name());
  return words;
}

/// What is wrong with the command line.
std::string complaint(const CLI::App& program, const CLI::App& command, const CLI::ParseError& error) {
  const std::vector<std::string> unknown = program.remaining(true);
  if (unknown.empty()) return error.what();
  const std::string& first = unknown.front();
  const std::string nearest = nearest_name(first.substr(0, first.find('=')), words_after(command));
  return fmt::format("these were not expected: {}{}", fmt::join(unknown, " "),
                     nearest.empty() ? "" : fmt::format("; did you mean {}?", nearest));
}

int run(int argc, char** argv) {
  CLI::App program("retrace: reversible networks that forget their activations and get them back", "retrace");
  program.formatter(std::make_shared<HelpFormatter>());  // commands inherit it
  program.require_subcommand(1);
  program.set_version_flag("--version", "retrace " RETRACE_VERSION, "print the version and exit");
  program.footer("`retrace help COMMAND` tells more. Begin with `retrace demo`.");
  AllOptions options;
  Work work;
  add_demo(program, options.demo, work);
  add_explain(program, options.explain, work);
  add_train(program, options.train, work);
  add_eval(program, options.eval, work);
  add_bench(program, options.bench, work);
  add_check(program, options.check, work);
  add_step(program, options.step, work);
  add_info(program, options.info, work);
  add_recipes(program, options.recipes, work);
  try {
    program.parse(arguments(argc, argv));
  } catch (const CLI::ParseError& error) {
    const bool wanted =
        error.get_exit_code() == static_cast<int>(CLI::ExitCodes::Success);  // --help, --version
    if (wanted && program.remaining(true).empty()) return program.exit(error);
    const CLI::App& command = innermost(program);
    throw UsageError(fmt::format("[command line] {} (see {} --help)", complaint(program, command, error),
                                 name_of(command)));
  }
  return work();
}

}  // namespace

}  // namespace retrace::cli

int main(int argc, char** argv) {
  using namespace retrace::cli;
  std::signal(SIGXFSZ, SIG_IGN);  // a file that may not grow is an error with a text, as a full disk is
  return exit_status_of("retrace", [&] { return run(argc, argv); });
}
